SELECT
  partials."date",
  partials."Shop",
  partials."pieces",
  sum(partials."total") AS "total",
  coalesce(sum(partials."rate__2"), 0)::BIGINT AS "rate__2",
  sum(partials."half__1") AS "half__1",
  sum(partials."weight__1__sum") AS "weight__1__sum",
  coalesce(sum(partials."weight__1__count"), 0)::BIGINT AS "weight__1__count",
  sum(partials."weight__1__size") AS "weight__1__size",
  bool_and(partials."settled") AS "settled",
  coalesce(sum(partials."_having__1"), 0)::BIGINT AS "_having__1",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
