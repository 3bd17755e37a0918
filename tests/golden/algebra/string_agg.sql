-- string_agg(BIGINT, ', '): VARCHAR, exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c STRUCT(a STRUCT(t TIMESTAMP WITH TIME ZONE, s VARCHAR, p INTEGER, o BIGINT), x VARCHAR)[]
partial  list_sort(list({'a': at, 'x': (x)::VARCHAR}) FILTER (WHERE f AND (x) IS NOT NULL))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 values: keep a view of finer keys')::BIGINT::VARCHAR::VARCHAR ELSE array_to_string(list_transform(c, lambda placed__: struct_extract(placed__, 'x')), (', ')) END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 values: keep a view of finer keys' END
own      string_agg((x)::VARCHAR, (', ') ORDER BY at, (x)::VARCHAR) FILTER (WHERE f)

-- string_agg(BIGINT): VARCHAR, exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c STRUCT(a STRUCT(t TIMESTAMP WITH TIME ZONE, s VARCHAR, p INTEGER, o BIGINT), x VARCHAR)[]
partial  list_sort(list({'a': at, 'x': (x)::VARCHAR}) FILTER (WHERE f AND (x) IS NOT NULL))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 values: keep a view of finer keys')::BIGINT::VARCHAR::VARCHAR ELSE array_to_string(list_transform(c, lambda placed__: struct_extract(placed__, 'x')), ',') END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 values: keep a view of finer keys' END
own      string_agg((x)::VARCHAR, ',' ORDER BY at, (x)::VARCHAR) FILTER (WHERE f)
