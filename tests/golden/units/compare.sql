WITH a AS (
SELECT *, true AS _here FROM (
WITH partials AS (SELECT * FROM served)
SELECT
  partials."hour" AS "hour",
  partials."shop" AS "shop",
  partials."orders" AS "orders",
  partials."amount" AS "amount",
  CASE WHEN partials."weight__count" > 0 THEN finalize(to_aggregate_state({'count': partials."weight__count"::UBIGINT, 'value': partials."weight__sum"}::STRUCT(count UBIGINT, value DOUBLE), 'avg', ['DOUBLE'])) END AS "weight",
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS "ids",
  partials."latest" AS "latest"
FROM (SELECT
  partials."hour",
  partials."shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount") AS "amount",
  sum(partials."weight__sum") AS "weight__sum",
  coalesce(sum(partials."weight__count"), 0)::BIGINT AS "weight__count",
  CASE WHEN count(partials."ids") < 2 THEN any_value(partials."ids") ELSE list_where(list_sort(flatten(list(partials."ids"))), list_transform(list_zip(list_sort(flatten(list(partials."ids"))), list_sort(flatten(list(partials."ids")))[2:]), lambda pair: pair[1] IS DISTINCT FROM pair[2]))[:4096] END AS "ids",
  max(partials."latest") AS "latest"
FROM partials
GROUP BY ALL) AS partials
)
), b AS (
SELECT *, true AS _here FROM (
WITH partials AS (SELECT * FROM recomputed)
SELECT
  partials."hour" AS "hour",
  partials."shop" AS "shop",
  partials."orders" AS "orders",
  partials."amount" AS "amount",
  CASE WHEN partials."weight__count" > 0 THEN finalize(to_aggregate_state({'count': partials."weight__count"::UBIGINT, 'value': partials."weight__sum"}::STRUCT(count UBIGINT, value DOUBLE), 'avg', ['DOUBLE'])) END AS "weight",
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS "ids",
  partials."latest" AS "latest"
FROM (SELECT
  partials."hour",
  partials."shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount") AS "amount",
  sum(partials."weight__sum") AS "weight__sum",
  coalesce(sum(partials."weight__count"), 0)::BIGINT AS "weight__count",
  CASE WHEN count(partials."ids") < 2 THEN any_value(partials."ids") ELSE list_where(list_sort(flatten(list(partials."ids"))), list_transform(list_zip(list_sort(flatten(list(partials."ids"))), list_sort(flatten(list(partials."ids")))[2:]), lambda pair: pair[1] IS DISTINCT FROM pair[2]))[:4096] END AS "ids",
  max(partials."latest") AS "latest"
FROM partials
GROUP BY ALL) AS partials
)
)
SELECT count(*) AS groups,
  count(*) FILTER (WHERE a._here IS NULL OR b._here IS NULL) AS n0,
  NULL AS d0,
  count(*) FILTER (WHERE a._here AND b._here AND a."orders" IS DISTINCT FROM b."orders") AS n1,
  (max(abs(a."orders"::DOUBLE - b."orders"::DOUBLE)) FILTER (WHERE a._here AND b._here AND a."orders" IS DISTINCT FROM b."orders"))::VARCHAR AS d1,
  count(*) FILTER (WHERE a._here AND b._here AND a."amount" IS DISTINCT FROM b."amount") AS n2,
  (max(abs(a."amount"::DOUBLE - b."amount"::DOUBLE)) FILTER (WHERE a._here AND b._here AND a."amount" IS DISTINCT FROM b."amount"))::VARCHAR AS d2,
  count(*) FILTER (WHERE a._here AND b._here AND a."weight" IS DISTINCT FROM b."weight" AND NOT coalesce(abs(a."weight" - b."weight") <= 1e-09 * greatest(abs(a."weight"), abs(b."weight")), false)) AS n3,
  (max(abs(a."weight"::DOUBLE - b."weight"::DOUBLE)) FILTER (WHERE a._here AND b._here AND a."weight" IS DISTINCT FROM b."weight" AND NOT coalesce(abs(a."weight" - b."weight") <= 1e-09 * greatest(abs(a."weight"), abs(b."weight")), false)))::VARCHAR AS d3,
  count(*) FILTER (WHERE a._here AND b._here AND a."ids" IS DISTINCT FROM b."ids") AS n4,
  (max(abs(a."ids"::DOUBLE - b."ids"::DOUBLE)) FILTER (WHERE a._here AND b._here AND a."ids" IS DISTINCT FROM b."ids"))::VARCHAR AS d4,
  count(*) FILTER (WHERE a._here AND b._here AND a."latest" IS DISTINCT FROM b."latest") AS n5,
  (min(coalesce(a."latest"::VARCHAR, 'NULL') || ' became ' || coalesce(b."latest"::VARCHAR, 'NULL')) FILTER (WHERE a._here AND b._here AND a."latest" IS DISTINCT FROM b."latest"))::VARCHAR AS d5
FROM a FULL JOIN b ON a."hour" IS NOT DISTINCT FROM b."hour" AND a."shop" IS NOT DISTINCT FROM b."shop"
