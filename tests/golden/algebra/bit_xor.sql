-- bit_xor(BIGINT): BIGINT, exact
-- c BIGINT
partial  bit_xor(x) FILTER (WHERE f)
merge    bit_xor(c)
finalise c
