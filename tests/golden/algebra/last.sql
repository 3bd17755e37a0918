-- last(BIGINT): BIGINT, exact
-- c STRUCT(a STRUCT(t TIMESTAMP WITH TIME ZONE, s VARCHAR, p INTEGER, o BIGINT), x BIGINT)
partial  max({'a': at, 'x': x}) FILTER (WHERE f)
merge    max(c)
finalise struct_extract(c, 'x')
own      last(x ORDER BY at, x) FILTER (WHERE f)
