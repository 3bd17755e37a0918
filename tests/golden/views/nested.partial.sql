SELECT
  TRY(cast(events."placed" as date)) AS "date",
  events."buyer"."home"."city" AS "city",
  TRY(events."tags"[1]) AS "tag",
  max(events."buyer"."name") AS "last_name",
  count(*) AS "_events"
FROM events
GROUP BY ALL
