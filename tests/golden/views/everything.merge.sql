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
  sum(partials."weight") AS "weight",
  sum(partials."weight__size") AS "weight__size",
  sum(partials."mean_paid__high") AS "mean_paid__high",
  sum(partials."mean_paid__low") AS "mean_paid__low",
  coalesce(sum(partials."mean_paid__count"), 0)::BIGINT AS "mean_paid__count",
  min(partials."first_day") AS "first_day",
  max(partials."heaviest") AS "heaviest",
  CASE WHEN len(list(partials."buyers")) = 1 THEN list(partials."buyers")[1] ELSE (CASE WHEN len(flatten(list(partials."buyers"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."buyers")))) ELSE list_where(list_sort(flatten(list(partials."buyers"))), list_transform(list_zip(list_sort(flatten(list(partials."buyers"))), list_sort(flatten(list(partials."buyers")))[2:]), lambda pair: pair[1] IS DISTINCT FROM pair[2])) END)[:4096] END AS "buyers",
  CASE WHEN count(partials."spread") < 2 THEN any_value(partials."spread") ELSE list_transform([{'n': sum(partials."spread".n)::BIGINT, 'base': sum(partials."spread".n * (partials."spread".base + partials."spread".rest)) / sum(partials."spread".n), 'partials': list_transform(list(partials."spread"), lambda s: {'n': s.n, 'd': (s.base - sum(partials."spread".n * (partials."spread".base + partials."spread".rest)) / sum(partials."spread".n)) + s.rest, 'm2': s.m2}), 'least': min(partials."spread".least), 'greatest': max(partials."spread".greatest)}], lambda g: list_transform([{'r': list_sum(list_transform(g.partials, lambda s: s.n * s.d)) / g.n, 'm2': list_sum(list_transform(g.partials, lambda s: s.m2 + s.n * s.d * s.d))}], lambda t: {'n': g.n, 'base': g.base, 'rest': t.r, 'm2': greatest(t.m2 - g.n * t.r * t.r, 0), 'least': g.least, 'greatest': g.greatest})[1])[1] END AS "spread"
FROM partials
GROUP BY ALL
