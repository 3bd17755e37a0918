-- bit_and(BIGINT): BIGINT, exact
-- c BIGINT
partial  bit_and(x) FILTER (WHERE f)
merge    bit_and(c)
finalise c
