-- product(BIGINT): DOUBLE, approximate (float): relative 1e-9: the order of multiplications is free
-- c DOUBLE
partial  product((x)::DOUBLE) FILTER (WHERE f)
merge    product(c ORDER BY c)
finalise c
