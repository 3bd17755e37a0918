-- approx_count_distinct(BIGINT, 0.05): BIGINT, approximate: exact below 402; standard error 5.00% above
-- c BIGINT[]
partial  CASE WHEN len(list(DISTINCT (hash((x)) >> 1)::BIGINT) FILTER (WHERE f AND (x) IS NOT NULL)) > 402 THEN list_aggregate(list(DISTINCT (hash((x)) >> 1)::BIGINT) FILTER (WHERE f AND (x) IS NOT NULL), 'min', 402) ELSE list_sort(list(DISTINCT (hash((x)) >> 1)::BIGINT) FILTER (WHERE f AND (x) IS NOT NULL)) END
merge    CASE WHEN len(list(c)) = 1 THEN list(c)[1] ELSE (CASE WHEN len(flatten(list(c))) <= 1024 THEN list_sort(list_distinct(flatten(list(c)))) ELSE list_where(list_sort(flatten(list(c))), list_transform(system.main.list_zip(list_sort(flatten(list(c))), list_sort(flatten(list(c)))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:402] END
finalise CASE WHEN len(c) >= 402 THEN round(401 / (c[402] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(c), 0) END
own      approx_count_distinct(x) FILTER (WHERE f)

-- approx_count_distinct(BIGINT): BIGINT, approximate: exact below 4096; standard error 1.56% above
-- c BIGINT[]
partial  CASE WHEN len(list(DISTINCT (hash((x)) >> 1)::BIGINT) FILTER (WHERE f AND (x) IS NOT NULL)) > 4096 THEN list_aggregate(list(DISTINCT (hash((x)) >> 1)::BIGINT) FILTER (WHERE f AND (x) IS NOT NULL), 'min', 4096) ELSE list_sort(list(DISTINCT (hash((x)) >> 1)::BIGINT) FILTER (WHERE f AND (x) IS NOT NULL)) END
merge    CASE WHEN len(list(c)) = 1 THEN list(c)[1] ELSE (CASE WHEN len(flatten(list(c))) <= 1024 THEN list_sort(list_distinct(flatten(list(c)))) ELSE list_where(list_sort(flatten(list(c))), list_transform(system.main.list_zip(list_sort(flatten(list(c))), list_sort(flatten(list(c)))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END
finalise CASE WHEN len(c) >= 4096 THEN round(4095 / (c[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(c), 0) END
