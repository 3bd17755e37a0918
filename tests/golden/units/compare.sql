WITH a AS (
SELECT *, true AS _here FROM (
WITH partials AS (SELECT * FROM served)
SELECT
  partials."hour" AS "hour",
  partials."shop" AS "shop",
  partials."orders" AS _1,
  partials."amount" AS _2,
  CASE WHEN partials."weight__count" > 0 THEN finalize(to_aggregate_state({'count': partials."weight__count"::UBIGINT, 'value': partials."weight__sum"}::STRUCT(count UBIGINT, value DOUBLE), 'avg', ['DOUBLE'])) END AS _3,
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS _4,
  partials."latest" AS _5,
  partials."weight__size" / partials."weight__count" AS _scale3
FROM (SELECT
  partials."hour",
  partials."shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount") AS "amount",
  sum(partials."weight__sum") AS "weight__sum",
  coalesce(sum(partials."weight__count"), 0)::BIGINT AS "weight__count",
  sum(partials."weight__size") AS "weight__size",
  CASE WHEN len(list(partials."ids")) = 1 THEN list(partials."ids")[1] ELSE (CASE WHEN len(flatten(list(partials."ids"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."ids")))) ELSE list_where(list_sort(flatten(list(partials."ids"))), list_transform(list_zip(list_sort(flatten(list(partials."ids"))), list_sort(flatten(list(partials."ids")))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END AS "ids",
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
  partials."orders" AS _1,
  partials."amount" AS _2,
  CASE WHEN partials."weight__count" > 0 THEN finalize(to_aggregate_state({'count': partials."weight__count"::UBIGINT, 'value': partials."weight__sum"}::STRUCT(count UBIGINT, value DOUBLE), 'avg', ['DOUBLE'])) END AS _3,
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS _4,
  partials."latest" AS _5,
  partials."weight__size" / partials."weight__count" AS _scale3
FROM (SELECT
  partials."hour",
  partials."shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount") AS "amount",
  sum(partials."weight__sum") AS "weight__sum",
  coalesce(sum(partials."weight__count"), 0)::BIGINT AS "weight__count",
  sum(partials."weight__size") AS "weight__size",
  CASE WHEN len(list(partials."ids")) = 1 THEN list(partials."ids")[1] ELSE (CASE WHEN len(flatten(list(partials."ids"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."ids")))) ELSE list_where(list_sort(flatten(list(partials."ids"))), list_transform(list_zip(list_sort(flatten(list(partials."ids"))), list_sort(flatten(list(partials."ids")))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END AS "ids",
  max(partials."latest") AS "latest"
FROM partials
GROUP BY ALL) AS partials
)
)
SELECT count(*) AS groups,
  count(*) FILTER (WHERE a._here IS NULL OR b._here IS NULL) AS n0,
  NULL AS d0,
  count(*) FILTER (WHERE a._here AND b._here AND a._1 IS DISTINCT FROM b._1) AS n1,
  (max(abs(a._1::DOUBLE - b._1::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._1 IS DISTINCT FROM b._1))::VARCHAR AS d1,
  count(*) FILTER (WHERE a._here AND b._here AND a._2 IS DISTINCT FROM b._2) AS n2,
  (max(abs(a._2::DOUBLE - b._2::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._2 IS DISTINCT FROM b._2))::VARCHAR AS d2,
  count(*) FILTER (WHERE a._here AND b._here AND a._3 IS DISTINCT FROM b._3 AND NOT coalesce(abs(a._3 - b._3) <= 1e-09 * greatest(abs(a._3), abs(b._3), abs(a._scale3), abs(b._scale3)), false)) AS n3,
  (max(abs(a._3::DOUBLE - b._3::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._3 IS DISTINCT FROM b._3 AND NOT coalesce(abs(a._3 - b._3) <= 1e-09 * greatest(abs(a._3), abs(b._3), abs(a._scale3), abs(b._scale3)), false)))::VARCHAR AS d3,
  count(*) FILTER (WHERE a._here AND b._here AND a._4 IS DISTINCT FROM b._4) AS n4,
  (max(abs(a._4::DOUBLE - b._4::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._4 IS DISTINCT FROM b._4))::VARCHAR AS d4,
  count(*) FILTER (WHERE a._here AND b._here AND a._5 IS DISTINCT FROM b._5) AS n5,
  (min(coalesce(a._5::VARCHAR, 'NULL') || ' became ' || coalesce(b._5::VARCHAR, 'NULL')) FILTER (WHERE a._here AND b._here AND a._5 IS DISTINCT FROM b._5))::VARCHAR AS d5
FROM a FULL JOIN b ON a."hour" IS NOT DISTINCT FROM b."hour" AND a."shop" IS NOT DISTINCT FROM b."shop"
