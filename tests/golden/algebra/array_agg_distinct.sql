-- array_agg distinct(BIGINT): BIGINT[], exact: at most 10,000 values a group, more is VALUE_OUT_OF_RANGE
-- c BIGINT[]
partial  list_sort(list(DISTINCT x) FILTER (WHERE f AND (x) IS NOT NULL))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(list_distinct(flatten(list(c))))[:10001] END
-- c__null BOOLEAN
partial  bool_or((x) IS NULL) FILTER (WHERE f)
merge    bool_or(c__null)
finalise CASE WHEN coalesce(len(c), 0) + coalesce(c__null::INTEGER, 0) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct')::BIGINT[] ELSE CASE WHEN c__null THEN list_append(coalesce(c, []::BIGINT[]), NULL::BIGINT) ELSE c END END
check    CASE WHEN coalesce(len(c), 0) + coalesce(c__null::INTEGER, 0) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: more than 10,000 distinct values: count them with approx_count_distinct' END
own      list(DISTINCT x ORDER BY x) FILTER (WHERE f)
