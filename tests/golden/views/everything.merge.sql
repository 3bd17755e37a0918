SELECT
  partials."quarter",
  partials."Shop",
  partials."city",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  coalesce(sum(partials."counted"), 0)::BIGINT AS "counted",
  sum(partials."pieces") AS "pieces",
  sum(partials."price") AS "price",
  sum(partials."amount__high") AS "amount__high",
  sum(partials."amount__low") AS "amount__low",
  sum(partials."weight__high") AS "weight__high",
  sum(partials."weight__middle") AS "weight__middle",
  sum(partials."weight__low") AS "weight__low",
  _float_added(list(partials."weight__rest") FILTER (WHERE partials."weight__rest" IS NOT NULL)) AS "weight__rest",
  sum(partials."mean_paid__high") AS "mean_paid__high",
  sum(partials."mean_paid__low") AS "mean_paid__low",
  coalesce(sum(partials."mean_paid__count"), 0)::BIGINT AS "mean_paid__count",
  min(partials."first_day") AS "first_day",
  max(partials."heaviest") AS "heaviest",
  CASE WHEN len(list(partials."buyers")) = 1 THEN list(partials."buyers")[1] ELSE (CASE WHEN len(flatten(list(partials."buyers"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."buyers")))) ELSE list_where(list_sort(flatten(list(partials."buyers"))), list_transform(system.main.list_zip(list_sort(flatten(list(partials."buyers"))), list_sort(flatten(list(partials."buyers")))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END AS "buyers",
  CASE WHEN count(partials."spread") < 2 THEN any_value(partials."spread") ELSE list_transform([{'n': sum(partials."spread".n)::BIGINT, 'base': sum(partials."spread".n * (partials."spread".base + partials."spread".rest) ORDER BY partials."spread".n * (partials."spread".base + partials."spread".rest)) / sum(partials."spread".n), 'partials': list_transform(list_sort(list(partials."spread")), lambda s__: {'n': s__.n, 'd': (s__.base - sum(partials."spread".n * (partials."spread".base + partials."spread".rest) ORDER BY partials."spread".n * (partials."spread".base + partials."spread".rest)) / sum(partials."spread".n)) + s__.rest, 'm2': s__.m2}), 'least': min(partials."spread".least), 'greatest': max(partials."spread".greatest)}], lambda g__: list_transform([{'r': list_sum(list_transform(g__.partials, lambda s__: s__.n * s__.d)) / g__.n, 'm2': list_sum(list_transform(g__.partials, lambda s__: s__.m2 + s__.n * s__.d * s__.d))}], lambda t__: {'n': g__.n, 'base': g__.base, 'rest': t__.r, 'm2': greatest(t__.m2 - g__.n * t__.r * t__.r, 0), 'least': g__.least, 'greatest': g__.greatest})[1])[1] END AS "spread",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
