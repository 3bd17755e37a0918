-- sum distinct(BIGINT): DECIMAL(38,0), exact: at most 1,000,000 values a group, more is VALUE_OUT_OF_RANGE
-- c BIGINT[]
partial  list_sort(list(DISTINCT x) FILTER (WHERE f AND (x) IS NOT NULL))[:1000001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(list_distinct(flatten(list(c))))[:1000001] END
finalise CASE WHEN len(c) > 1000000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 1,000,000 distinct values: count them instead')::DECIMAL(38,0) ELSE list_aggregate(c, 'sum')::DECIMAL(38,0) END
check    CASE WHEN len(c) > 1000000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 1,000,000 distinct values: count them instead' END
