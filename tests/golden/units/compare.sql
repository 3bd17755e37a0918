WITH a AS (
SELECT *, true AS _here FROM (
WITH partials AS (SELECT * FROM served)
SELECT
  partials."hour" AS "hour",
  partials."shop" AS "shop",
  partials."_events" AS _1,
  partials."orders" AS _2,
  partials."amount" AS _3,
  partials."weight__count" AS _4,
  CASE WHEN partials."weight__count" > 0 THEN _float_sum(partials."weight__high", partials."weight__middle", partials."weight__low", partials."weight__rest") / partials."weight__count" END AS _5,
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS _6,
  partials."latest" AS _7
FROM (SELECT
  partials."hour",
  partials."shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount") AS "amount",
  sum(partials."weight__high") AS "weight__high",
  sum(partials."weight__middle") AS "weight__middle",
  sum(partials."weight__low") AS "weight__low",
  _float_added(list(partials."weight__rest") FILTER (WHERE partials."weight__rest" IS NOT NULL)) AS "weight__rest",
  coalesce(sum(partials."weight__count"), 0)::BIGINT AS "weight__count",
  CASE WHEN len(list(partials."ids")) = 1 THEN list(partials."ids")[1] ELSE (CASE WHEN len(flatten(list(partials."ids"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."ids")))) ELSE list_where(list_sort(flatten(list(partials."ids"))), list_transform(system.main.list_zip(list_sort(flatten(list(partials."ids"))), list_sort(flatten(list(partials."ids")))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END AS "ids",
  max(partials."latest") AS "latest",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL) AS partials
)
), b AS (
SELECT *, true AS _here FROM (
WITH partials AS (SELECT * FROM recomputed)
SELECT
  partials."hour" AS "hour",
  partials."shop" AS "shop",
  partials."_events" AS _1,
  partials."orders" AS _2,
  partials."amount" AS _3,
  partials."weight__count" AS _4,
  CASE WHEN partials."weight__count" > 0 THEN _float_sum(partials."weight__high", partials."weight__middle", partials."weight__low", partials."weight__rest") / partials."weight__count" END AS _5,
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS _6,
  partials."latest" AS _7
FROM (SELECT
  partials."hour",
  partials."shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount") AS "amount",
  sum(partials."weight__high") AS "weight__high",
  sum(partials."weight__middle") AS "weight__middle",
  sum(partials."weight__low") AS "weight__low",
  _float_added(list(partials."weight__rest") FILTER (WHERE partials."weight__rest" IS NOT NULL)) AS "weight__rest",
  coalesce(sum(partials."weight__count"), 0)::BIGINT AS "weight__count",
  CASE WHEN len(list(partials."ids")) = 1 THEN list(partials."ids")[1] ELSE (CASE WHEN len(flatten(list(partials."ids"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."ids")))) ELSE list_where(list_sort(flatten(list(partials."ids"))), list_transform(system.main.list_zip(list_sort(flatten(list(partials."ids"))), list_sort(flatten(list(partials."ids")))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END AS "ids",
  max(partials."latest") AS "latest",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
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
  count(*) FILTER (WHERE a._here AND b._here AND a._3 IS DISTINCT FROM b._3) AS n3,
  (max(abs(a._3::DOUBLE - b._3::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._3 IS DISTINCT FROM b._3))::VARCHAR AS d3,
  count(*) FILTER (WHERE a._here AND b._here AND a._4 IS DISTINCT FROM b._4) AS n4,
  (min(coalesce(a._4::VARCHAR, 'NULL') || ' became ' || coalesce(b._4::VARCHAR, 'NULL')) FILTER (WHERE a._here AND b._here AND a._4 IS DISTINCT FROM b._4))::VARCHAR AS d4,
  count(*) FILTER (WHERE a._here AND b._here AND a._5 IS DISTINCT FROM b._5) AS n5,
  (max(abs(a._5::DOUBLE - b._5::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._5 IS DISTINCT FROM b._5))::VARCHAR AS d5,
  count(*) FILTER (WHERE a._here AND b._here AND a._6 IS DISTINCT FROM b._6) AS n6,
  (max(abs(a._6::DOUBLE - b._6::DOUBLE)) FILTER (WHERE a._here AND b._here AND a._6 IS DISTINCT FROM b._6))::VARCHAR AS d6,
  count(*) FILTER (WHERE a._here AND b._here AND a._7 IS DISTINCT FROM b._7) AS n7,
  (min(coalesce(a._7::VARCHAR, 'NULL') || ' became ' || coalesce(b._7::VARCHAR, 'NULL')) FILTER (WHERE a._here AND b._here AND a._7 IS DISTINCT FROM b._7))::VARCHAR AS d7
FROM a FULL JOIN b ON a."hour" IS NOT DISTINCT FROM b."hour" AND a."shop" IS NOT DISTINCT FROM b."shop"
