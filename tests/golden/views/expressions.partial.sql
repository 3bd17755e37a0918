SELECT
  TRY(events."placed"::date) AS "date",
  events."Shop" AS "Shop",
  events."pieces" AS "pieces",
  sum(events."price")::DECIMAL(38,2) AS "total",
  count(*) AS "rate__2",
  sum((events."pieces"))::DECIMAL(38,0) AS "half__1",
  sum(_float_high(events."weight"))::DECIMAL(38,0) AS "weight__1__high",
  sum(_float_middle(events."weight"))::DECIMAL(38,0) AS "weight__1__middle",
  sum(_float_low(events."weight"))::DECIMAL(38,0) AS "weight__1__low",
  _float_rest(list((events."weight")::DOUBLE) FILTER (WHERE (true) AND _float_beyond(events."weight"))) AS "weight__1__rest",
  count(events."weight") AS "weight__1__count",
  bool_and(events."paid") AS "settled",
  count(*) FILTER (WHERE TRY(events."pieces" > 2)) AS "_having__1",
  count(*) AS "_events"
FROM events
GROUP BY ALL
