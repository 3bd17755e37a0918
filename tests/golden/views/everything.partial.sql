SELECT
  TRY(time_bucket(interval '15 minutes', events."placed")) AS "quarter",
  events."Shop" AS "Shop",
  TRY(lower(events."buyer"."home"."city")) AS "city",
  count(*) AS "orders",
  count(events."pieces") AS "counted",
  sum((events."pieces"))::DECIMAL(38,0) AS "pieces",
  sum(events."price")::DECIMAL(38,2) AS "price",
  sum(replace((events."amount")::VARCHAR, '.', '')::HUGEINT // 10000000000000000000::HUGEINT)::DECIMAL(38,0) AS "amount__high",
  sum(replace((events."amount")::VARCHAR, '.', '')::HUGEINT % 10000000000000000000::HUGEINT)::DECIMAL(38,0) AS "amount__low",
  sum(_float_high(events."weight"))::DECIMAL(38,0) AS "weight__high",
  sum(_float_middle(events."weight"))::DECIMAL(38,0) AS "weight__middle",
  sum(_float_low(events."weight"))::DECIMAL(38,0) AS "weight__low",
  _float_rest(list((events."weight")::DOUBLE) FILTER (WHERE (true) AND _float_beyond(events."weight"))) AS "weight__rest",
  sum(replace((events."amount")::VARCHAR, '.', '')::HUGEINT // 10000000000000000000::HUGEINT) FILTER (WHERE TRY(events."paid"))::DECIMAL(38,0) AS "mean_paid__high",
  sum(replace((events."amount")::VARCHAR, '.', '')::HUGEINT % 10000000000000000000::HUGEINT) FILTER (WHERE TRY(events."paid"))::DECIMAL(38,0) AS "mean_paid__low",
  count(events."amount") FILTER (WHERE TRY(events."paid")) AS "mean_paid__count",
  min(events."day") AS "first_day",
  max(((events."weight") + 0)) AS "heaviest",
  CASE WHEN len(list(DISTINCT (hash((events."buyer"."name")) >> 1)::BIGINT) FILTER (WHERE true AND (events."buyer"."name") IS NOT NULL)) > 4096 THEN list_aggregate(list(DISTINCT (hash((events."buyer"."name")) >> 1)::BIGINT) FILTER (WHERE true AND (events."buyer"."name") IS NOT NULL), 'min', 4096) ELSE list_sort(list(DISTINCT (hash((events."buyer"."name")) >> 1)::BIGINT) FILTER (WHERE true AND (events."buyer"."name") IS NOT NULL)) END AS "buyers",
  list_transform([{'least': min((events."weight")::DOUBLE), 'greatest': max((events."weight")::DOUBLE), 'low1': min(((events."weight")::DOUBLE * 34359738369::DOUBLE - ((events."weight")::DOUBLE * 34359738369::DOUBLE - (events."weight")::DOUBLE))), 'high1': max(((events."weight")::DOUBLE * 34359738369::DOUBLE - ((events."weight")::DOUBLE * 34359738369::DOUBLE - (events."weight")::DOUBLE))), 'low2': min(((events."weight")::DOUBLE * 4398046511105::DOUBLE - ((events."weight")::DOUBLE * 4398046511105::DOUBLE - (events."weight")::DOUBLE))), 'high2': max(((events."weight")::DOUBLE * 4398046511105::DOUBLE - ((events."weight")::DOUBLE * 4398046511105::DOUBLE - (events."weight")::DOUBLE))), 'state0': (var_pop((events."weight")::DOUBLE) EXPORT_STATE)::STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE), 'state1': (var_pop((events."weight")::DOUBLE - ((events."weight")::DOUBLE * 34359738369::DOUBLE - ((events."weight")::DOUBLE * 34359738369::DOUBLE - (events."weight")::DOUBLE))) EXPORT_STATE)::STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE), 'state2': (var_pop((events."weight")::DOUBLE - ((events."weight")::DOUBLE * 4398046511105::DOUBLE - ((events."weight")::DOUBLE * 4398046511105::DOUBLE - (events."weight")::DOUBLE))) EXPORT_STATE)::STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE)}], lambda g__: CASE WHEN g__.least IS NULL THEN NULL WHEN isfinite(g__.low1) AND g__.low1 = g__.high1 THEN {'n': g__.state1.count, 'base': g__.low1, 'rest': g__.state1.mean, 'm2': g__.state1.dsquared, 'least': g__.least, 'greatest': g__.greatest} WHEN isfinite(g__.low2) AND g__.low2 = g__.high2 THEN {'n': g__.state2.count, 'base': g__.low2, 'rest': g__.state2.mean, 'm2': g__.state2.dsquared, 'least': g__.least, 'greatest': g__.greatest} ELSE {'n': g__.state0.count, 'base': 0::DOUBLE, 'rest': g__.state0.mean, 'm2': g__.state0.dsquared, 'least': g__.least, 'greatest': g__.greatest} END)[1] AS "spread",
  count(*) AS "_events"
FROM events
WHERE TRY(events."pieces" > 0 and events."Shop" is not null)
GROUP BY ALL
