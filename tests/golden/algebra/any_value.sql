-- any_value(BIGINT): BIGINT, exact
-- c STRUCT(a STRUCT(t TIMESTAMP WITH TIME ZONE, s VARCHAR, p INTEGER, o BIGINT), x BIGINT)
partial  min({'a': at, 'x': x}) FILTER (WHERE f AND (x) IS NOT NULL)
merge    min(c)
finalise struct_extract(c, 'x')
own      first(x ORDER BY at, x) FILTER (WHERE (f) AND (x) IS NOT NULL)
