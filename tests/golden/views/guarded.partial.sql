SELECT
  events."day" AS "day",
  TRY(cast(events."Shop" as integer)) AS "number",
  sum((TRY(events."pieces" // 0)))::DECIMAL(38,0) AS "none",
  count(*) AS "n",
  count(*) AS "_events"
FROM events
WHERE TRY(events."pieces"::tinyint > 1)
GROUP BY ALL
