-- avg(BIGINT): DOUBLE, exact
-- c__sum DECIMAL(38,0)
partial  sum((x)) FILTER (WHERE f)::DECIMAL(38,0)
merge    sum(c__sum)
-- c__count BIGINT
partial  count(x) FILTER (WHERE f)
merge    coalesce(sum(c__count), 0)::BIGINT
finalise CASE WHEN c__count > 0 THEN finalize(to_aggregate_state({'count': c__count::UBIGINT, 'value': c__sum::HUGEINT}::STRUCT(count UBIGINT, value HUGEINT), 'avg', ['BIGINT'])) END
