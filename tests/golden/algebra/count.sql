-- count(BIGINT): BIGINT, exact
-- c BIGINT
partial  count(x) FILTER (WHERE f)
merge    coalesce(sum(c), 0)::BIGINT
finalise c
