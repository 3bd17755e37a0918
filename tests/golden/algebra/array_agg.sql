-- array_agg(BIGINT): BIGINT[], exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c STRUCT(a STRUCT(t TIMESTAMP WITH TIME ZONE, s VARCHAR, p INTEGER, o BIGINT), x BIGINT)[]
partial  list_sort(list({'a': at, 'x': x}) FILTER (WHERE f))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 values: keep a view of finer keys')::BIGINT[] ELSE list_transform(c, lambda placed__: struct_extract(placed__, 'x')) END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 values: keep a view of finer keys' END
own      list(x ORDER BY at, x) FILTER (WHERE f)
