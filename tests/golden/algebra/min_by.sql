-- min_by(BIGINT, BIGINT, 2): BIGINT[], exact
-- c STRUCT(y BIGINT, x BIGINT)[]
partial  min({'y': y, 'x': x}, 2) FILTER (WHERE f AND (x) IS NOT NULL AND (y) IS NOT NULL)
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:2] END
finalise list_transform(c, lambda pair__: struct_extract(pair__, 'x'))
own      list_transform(min({'y': y, 'x': x}, 2) FILTER (WHERE (f) AND (x) IS NOT NULL AND (y) IS NOT NULL), lambda pair__: struct_extract(pair__, 'x'))

-- min_by(BIGINT, BIGINT): BIGINT, exact
-- c STRUCT(y BIGINT, x BIGINT)
partial  min({'y': y, 'x': x}) FILTER (WHERE f AND (x) IS NOT NULL AND (y) IS NOT NULL)
merge    min(c)
finalise struct_extract(c, 'x')
own      struct_extract(min({'y': y, 'x': x}) FILTER (WHERE (f) AND (x) IS NOT NULL AND (y) IS NOT NULL), 'x')
