-- quantile_disc(BIGINT, 0.25): BIGINT, exact: an error for a group of over 100,000 values
-- c BIGINT[]
partial  list_sort(list(x) FILTER (WHERE f AND (x) IS NOT NULL))[:100001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:100001] END
finalise CASE WHEN len(c) > 100000 THEN ('VALUE_OUT_OF_RANGE: column answer: quantile_disc of over 100,000 values in one group: use approx_quantile')::BIGINT WHEN len(c) > 0 AND TRY(list_aggregate(c, 'quantile_disc', 0.25)) IS NULL THEN ('VALUE_OUT_OF_RANGE: column answer: quantile_disc of values that BIGINT does not hold')::BIGINT WHEN len(c) > 0 THEN TRY(list_aggregate(c, 'quantile_disc', 0.25)) END
check    CASE WHEN len(c) > 100000 THEN 'VALUE_OUT_OF_RANGE: column answer: quantile_disc of over 100,000 values in one group: use approx_quantile' WHEN len(c) > 0 AND TRY(list_aggregate(c, 'quantile_disc', 0.25)) IS NULL THEN 'VALUE_OUT_OF_RANGE: column answer: quantile_disc of values that BIGINT does not hold' END

-- quantile_disc(BIGINT, [0.5, 0, 0.9, 1]): BIGINT[], exact: an error for a group of over 100,000 values
-- c BIGINT[]
partial  list_sort(list(x) FILTER (WHERE f AND (x) IS NOT NULL))[:100001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:100001] END
finalise CASE WHEN len(c) > 100000 THEN ('VALUE_OUT_OF_RANGE: column answer: quantile_disc of over 100,000 values in one group: use approx_quantile')::BIGINT[] WHEN len(c) > 0 AND TRY(list_aggregate(c, 'quantile_disc', [0.5, 0, 0.9, 1])) IS NULL THEN ('VALUE_OUT_OF_RANGE: column answer: quantile_disc of values that BIGINT[] does not hold')::BIGINT[] WHEN len(c) > 0 THEN TRY(list_aggregate(c, 'quantile_disc', [0.5, 0, 0.9, 1])) END
check    CASE WHEN len(c) > 100000 THEN 'VALUE_OUT_OF_RANGE: column answer: quantile_disc of over 100,000 values in one group: use approx_quantile' WHEN len(c) > 0 AND TRY(list_aggregate(c, 'quantile_disc', [0.5, 0, 0.9, 1])) IS NULL THEN 'VALUE_OUT_OF_RANGE: column answer: quantile_disc of values that BIGINT[] does not hold' END
