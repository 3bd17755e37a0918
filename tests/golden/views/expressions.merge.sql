SELECT
  partials."date",
  partials."Shop",
  partials."pieces",
  sum(partials."total") AS "total",
  coalesce(sum(partials."rate__2"), 0)::BIGINT AS "rate__2",
  sum(partials."half__1") AS "half__1",
  sum(partials."weight__1__high") AS "weight__1__high",
  sum(partials."weight__1__middle") AS "weight__1__middle",
  sum(partials."weight__1__low") AS "weight__1__low",
  _float_added(list(partials."weight__1__rest") FILTER (WHERE partials."weight__1__rest" IS NOT NULL)) AS "weight__1__rest",
  coalesce(sum(partials."weight__1__count"), 0)::BIGINT AS "weight__1__count",
  bool_and(partials."settled") AS "settled",
  coalesce(sum(partials."_having__1"), 0)::BIGINT AS "_having__1",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
