-- histogram(BIGINT): MAP(BIGINT, UBIGINT), exact: an error for a group of over 10,000 distinct values
-- c STRUCT("value" BIGINT, count BIGINT)[]
partial  list_sort(list_transform(map_entries(histogram(x) FILTER (WHERE f)), lambda e__: {'value': e__.key, 'count': e__.value::BIGINT}))[:10001]
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_transform([list_reduce([{'entries': list_sort(flatten(list(c))), 'step': 0::BIGINT}] || list_transform(range(ceil(log2(greatest(count(c), 1)))::BIGINT), lambda j__: {'entries': NULL, 'step': (1::BIGINT << j__)}), lambda a__, b__: {'entries': list_transform(system.main.list_zip(a__.entries, a__.entries[b__.step + 1:]), lambda pair__: {'value': pair__[1].value, 'count': pair__[1].count + CASE WHEN pair__[2] IS NOT NULL AND pair__[1].value IS NOT DISTINCT FROM pair__[2].value THEN pair__[2].count ELSE 0 END}), 'step': b__.step}).entries], lambda added__: list_where(added__, list_transform(system.main.list_zip(added__, list_prepend(NULL, added__), true), lambda pair__: pair__[2] IS NULL OR pair__[1].value IS DISTINCT FROM pair__[2].value)))[1][:10001] END
finalise CASE WHEN len(c) > 10000 THEN ('VALUE_OUT_OF_RANGE: column answer: histogram of over 10,000 distinct values in one group: use approx_top_k')::MAP(BIGINT, UBIGINT) WHEN len(c) > 0 THEN map_from_entries(list_transform(c, lambda e__: {'k': e__.value, 'v': e__.count::UBIGINT})) ELSE NULL END
check    CASE WHEN len(c) > 10000 THEN 'VALUE_OUT_OF_RANGE: column answer: histogram of over 10,000 distinct values in one group: use approx_top_k' END

-- histogram(BIGINT, [1, 0, 5]): MAP(BIGINT, UBIGINT), exact
-- c__bin1 BIGINT
partial  count(*) FILTER (WHERE f AND TRY_CAST(x AS BIGINT) <= ('0')::BIGINT)
merge    coalesce(sum(c__bin1), 0)::BIGINT
-- c__bin2 BIGINT
partial  count(*) FILTER (WHERE f AND TRY_CAST(x AS BIGINT) > ('0')::BIGINT AND TRY_CAST(x AS BIGINT) <= ('1')::BIGINT)
merge    coalesce(sum(c__bin2), 0)::BIGINT
-- c__bin3 BIGINT
partial  count(*) FILTER (WHERE f AND TRY_CAST(x AS BIGINT) > ('1')::BIGINT AND TRY_CAST(x AS BIGINT) <= ('5')::BIGINT)
merge    coalesce(sum(c__bin3), 0)::BIGINT
-- c__rest BIGINT
partial  count(*) FILTER (WHERE f AND TRY_CAST(x AS BIGINT) > ('5')::BIGINT)
merge    coalesce(sum(c__rest), 0)::BIGINT
finalise CASE WHEN c__rest > 0 THEN map([('0')::BIGINT, ('1')::BIGINT, ('5')::BIGINT, ('9223372036854775807')::BIGINT], [c__bin1::UBIGINT, c__bin2::UBIGINT, c__bin3::UBIGINT, c__rest::UBIGINT]) WHEN c__bin1::UBIGINT + c__bin2::UBIGINT + c__bin3::UBIGINT + c__rest::UBIGINT > 0 THEN map([('0')::BIGINT, ('1')::BIGINT, ('5')::BIGINT], [c__bin1::UBIGINT, c__bin2::UBIGINT, c__bin3::UBIGINT]) END
