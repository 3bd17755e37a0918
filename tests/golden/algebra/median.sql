-- median(BIGINT): DOUBLE, exact: an error for a group of over 100,000 values; interpolated in DOUBLE
-- c BIGINT[]
partial  list_sort(list(x) FILTER (WHERE f AND (x) IS NOT NULL))[:100001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:100001] END
finalise CASE WHEN len(c) > 100000 THEN ('VALUE_OUT_OF_RANGE: column answer: median of over 100,000 values in one group: use approx_quantile')::DOUBLE WHEN len(c) > 0 AND TRY(list_aggregate(c, 'median')) IS NULL THEN ('VALUE_OUT_OF_RANGE: column answer: median of values that DOUBLE does not hold')::DOUBLE WHEN len(c) > 0 THEN TRY(list_aggregate(c, 'median')) END
check    CASE WHEN len(c) > 100000 THEN 'VALUE_OUT_OF_RANGE: column answer: median of over 100,000 values in one group: use approx_quantile' WHEN len(c) > 0 AND TRY(list_aggregate(c, 'median')) IS NULL THEN 'VALUE_OUT_OF_RANGE: column answer: median of values that DOUBLE does not hold' END
