-- collect_set(BIGINT): BIGINT[], exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c BIGINT[]
partial  list_sort(list(DISTINCT x) FILTER (WHERE f AND (x) IS NOT NULL))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(list_distinct(flatten(list(c))))[:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct')::BIGINT[] ELSE c END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct' END
own      list(DISTINCT x ORDER BY x) FILTER (WHERE (f) AND (x) IS NOT NULL)
