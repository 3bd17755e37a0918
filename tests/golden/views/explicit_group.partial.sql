SELECT
  events."Shop" AS "Shop",
  events."paid" AS "settled",
  events."day" AS "day",
  count(*) AS "n",
  count(*) AS "_events"
FROM events
GROUP BY ALL
