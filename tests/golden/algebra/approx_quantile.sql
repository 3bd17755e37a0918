-- approx_quantile(BIGINT, 0.25): BIGINT, approximate: within 2% of the group's values by rank; 1% below the 10th and above the 90th percentile, 0.3% beyond 1 and 99
-- c STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])
partial  (approx_quantile((x)::BIGINT, 0.5) FILTER (WHERE f) EXPORT_STATE)::STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])
merge    (combine_aggr(to_aggregate_state(c::STRUCT(count UBIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[]), 'approx_quantile', ['BIGINT', 'FLOAT'], [NULL, 0.5]) ORDER BY c))::STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])
-- c__min BIGINT
partial  min((x)::BIGINT) FILTER (WHERE f)::BIGINT
merge    min(c__min)
-- c__max BIGINT
partial  max((x)::BIGINT) FILTER (WHERE f)::BIGINT
merge    max(c__max)
finalise CASE WHEN c.count > 0 THEN greatest(least(finalize(to_aggregate_state(c::STRUCT(count UBIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[]), 'approx_quantile', ['BIGINT', 'FLOAT'], [NULL, 0.25]))::BIGINT, c__max::BIGINT), c__min::BIGINT) END

-- approx_quantile(BIGINT, [0.5, 0, 0.9, 1]): BIGINT[], approximate: within 2% of the group's values by rank; 1% below the 10th and above the 90th percentile, 0.3% beyond 1 and 99
-- c STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])
partial  (approx_quantile((x)::BIGINT, 0.5) FILTER (WHERE f) EXPORT_STATE)::STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])
merge    (combine_aggr(to_aggregate_state(c::STRUCT(count UBIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[]), 'approx_quantile', ['BIGINT', 'FLOAT'], [NULL, 0.5]) ORDER BY c))::STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])
-- c__min BIGINT
partial  min((x)::BIGINT) FILTER (WHERE f)::BIGINT
merge    min(c__min)
-- c__max BIGINT
partial  max((x)::BIGINT) FILTER (WHERE f)::BIGINT
merge    max(c__max)
finalise CASE WHEN c.count > 0 THEN list_transform(finalize(to_aggregate_state(c::STRUCT(count UBIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[]), 'approx_quantile', ['BIGINT', 'FLOAT[]'], [NULL, [0.5, 0, 0.9, 1]]))::BIGINT[], lambda q__: greatest(least(q__, c__max::BIGINT), c__min::BIGINT)) END
