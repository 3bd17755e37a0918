-- count_if(BOOLEAN): BIGINT, exact
-- c BIGINT
partial  sum((x)::INTEGER) FILTER (WHERE f)::BIGINT
merge    sum(c)::BIGINT
finalise c
