SELECT
  TRY(CASE WHEN events."placed" >= TIMESTAMPTZ '0001-01-01 00:00:00+00' THEN time_bucket(INTERVAL '24 hours', events."placed") ELSE date_trunc('day', events."placed") END) AS "day",
  TRY(lower(events."_element")) AS "tag",
  events."Shop" AS "Shop",
  count(*) AS "n",
  sum((TRY(len(events."tags"))))::DECIMAL(38,0) AS "tags",
  max(events."buyer"."name") FILTER (WHERE TRY(len(events."tags") > 1)) AS "last_name",
  sum((events."pieces"))::DECIMAL(38,0) AS "r__2",
  count(*) AS "_events"
FROM (
  SELECT *, unnest(events."tags") AS "_element"
  FROM events
  WHERE TRY(events."id" <> '9')
) AS events
GROUP BY ALL
