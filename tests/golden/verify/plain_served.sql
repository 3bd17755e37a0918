WITH partials AS (
SELECT * FROM stored WHERE hash('salt', "hour", "shop") <= 99::UBIGINT AND hash('salt', "hour", "shop") NOT IN (7)
)
SELECT hash('salt', partials."hour", partials."shop") AS _h,
  partials."hour"::VARCHAR AS _key1,
  partials."shop"::VARCHAR AS _key2,
  partials."_events" AS _1,
  false AS _out1,
  partials."orders" AS _2,
  false AS _out2,
  partials."amount" AS _3,
  false AS _out3,
  CASE WHEN partials."weight__count" > 0 THEN _float_sum(partials."weight__high", partials."weight__middle", partials."weight__low", partials."weight__rest") / partials."weight__count" END AS _4,
  false AS _out4,
  CASE WHEN len(partials."ids") >= 4096 THEN round(4095 / (partials."ids"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."ids"), 0) END AS _5,
  false AS _out5,
  partials."latest" AS _6,
  false AS _out6
FROM (
SELECT
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
GROUP BY ALL
) AS partials
