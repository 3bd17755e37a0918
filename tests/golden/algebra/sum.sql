-- sum(BIGINT): DECIMAL(38,0), exact
-- c DECIMAL(38,0)
partial  sum((x)) FILTER (WHERE f)::DECIMAL(38,0)
merge    sum(c)
finalise c
