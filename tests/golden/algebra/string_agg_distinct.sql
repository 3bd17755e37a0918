-- string_agg distinct(BIGINT, ', '): VARCHAR, exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c VARCHAR[]
partial  list_sort(list(DISTINCT (x)::VARCHAR) FILTER (WHERE f AND (x) IS NOT NULL))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(list_distinct(flatten(list(c))))[:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct')::BIGINT::VARCHAR::VARCHAR ELSE array_to_string(c, (', ')) END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct' END
own      string_agg(DISTINCT (x)::VARCHAR, (', ') ORDER BY (x)::VARCHAR) FILTER (WHERE f)

-- string_agg distinct(BIGINT): VARCHAR, exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c VARCHAR[]
partial  list_sort(list(DISTINCT (x)::VARCHAR) FILTER (WHERE f AND (x) IS NOT NULL))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(list_distinct(flatten(list(c))))[:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct')::BIGINT::VARCHAR::VARCHAR ELSE array_to_string(c, ',') END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct' END
own      string_agg(DISTINCT (x)::VARCHAR, ',' ORDER BY (x)::VARCHAR) FILTER (WHERE f)
