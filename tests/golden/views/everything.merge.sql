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
  sum(partials."mean_paid__high") AS "mean_paid__high",
  sum(partials."mean_paid__low") AS "mean_paid__low",
  coalesce(sum(partials."mean_paid__count"), 0)::BIGINT AS "mean_paid__count",
  min(partials."first_day") AS "first_day",
  max(partials."heaviest") AS "heaviest",
  CASE WHEN len(list(partials."buyers")) = 1 THEN list(partials."buyers")[1] ELSE (CASE WHEN len(flatten(list(partials."buyers"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."buyers")))) ELSE list_where(list_sort(flatten(list(partials."buyers"))), list_transform(list_zip(list_sort(flatten(list(partials."buyers"))), list_sort(flatten(list(partials."buyers")))[2:]), lambda pair: pair[1] IS DISTINCT FROM pair[2])) END)[:4096] END AS "buyers",
  (combine_aggr(to_aggregate_state(partials."spread"::STRUCT(count UBIGINT, mean DOUBLE, dsquared DOUBLE), 'stddev_samp', ['DOUBLE'])))::STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE) AS "spread"
FROM partials
GROUP BY ALL
