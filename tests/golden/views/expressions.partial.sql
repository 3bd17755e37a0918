SELECT
  TRY(events."placed"::date) AS "date",
  events."Shop" AS "Shop",
  events."pieces" AS "pieces",
  sum(events."price")::DECIMAL(38,2) AS "total",
  count(*) AS "rate__2",
  sum((events."pieces"))::DECIMAL(38,0) AS "half__1",
  sum(events."weight") AS "weight__1__sum",
  count(events."weight") AS "weight__1__count",
  sum(abs((events."weight")::DOUBLE)) AS "weight__1__size",
  bool_and(events."paid") AS "settled",
  count(*) FILTER (WHERE TRY(events."pieces" > 2)) AS "_having__1",
  count(*) AS "_events"
FROM events
GROUP BY ALL
