SELECT
  TRY(CASE WHEN partials."hour" >= TIMESTAMPTZ '0001-01-01 00:00:00+00' THEN time_bucket(INTERVAL '24 hours', partials."hour") ELSE time_bucket(interval '1 day', partials."hour") END) AS "day",
  partials."shop" AS "shop",
  coalesce(sum(partials."orders"), 0)::BIGINT AS "orders",
  sum(partials."amount__high") AS "amount__high",
  sum(partials."amount__low") AS "amount__low",
  coalesce(sum(partials."mean__count"), 0)::BIGINT AS "mean__count",
  CASE WHEN count(partials."amounts") < 2 THEN any_value(partials."amounts") ELSE list_sort(list_distinct(flatten(list(partials."amounts"))))[:1000001] END AS "amounts",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
WHERE TRY(partials."shop" <> 'shop9')
GROUP BY ALL
