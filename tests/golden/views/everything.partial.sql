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
  sum(events."weight") AS "weight",
  sum(replace((events."amount")::VARCHAR, '.', '')::HUGEINT // 10000000000000000000::HUGEINT) FILTER (WHERE TRY(events."paid"))::DECIMAL(38,0) AS "mean_paid__high",
  sum(replace((events."amount")::VARCHAR, '.', '')::HUGEINT % 10000000000000000000::HUGEINT) FILTER (WHERE TRY(events."paid"))::DECIMAL(38,0) AS "mean_paid__low",
  count(events."amount") FILTER (WHERE TRY(events."paid")) AS "mean_paid__count",
  min(events."day") AS "first_day",
  max(((events."weight") + 0)) AS "heaviest",
  CASE WHEN len(list(DISTINCT (hash(events."buyer"."name") >> 1)::BIGINT) FILTER (WHERE true AND (events."buyer"."name") IS NOT NULL)) > 4096 THEN list_aggregate(list(DISTINCT (hash(events."buyer"."name") >> 1)::BIGINT) FILTER (WHERE true AND (events."buyer"."name") IS NOT NULL), 'min', 4096) ELSE list_sort(list(DISTINCT (hash(events."buyer"."name") >> 1)::BIGINT) FILTER (WHERE true AND (events."buyer"."name") IS NOT NULL)) END AS "buyers",
  (stddev_samp((events."weight")::DOUBLE) EXPORT_STATE)::STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE) AS "spread"
FROM events
WHERE TRY(events."pieces" > 0 and events."Shop" is not null)
GROUP BY ALL
