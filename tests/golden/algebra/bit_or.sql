-- bit_or(BIGINT): BIGINT, exact
-- c BIGINT
partial  bit_or(x) FILTER (WHERE f)
merge    bit_or(c)
finalise c
