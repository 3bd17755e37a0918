SELECT
  events."Shop" AS "Shop",
  events."paid" AS "settled",
  events."day" AS "day",
  count(*) AS "n"
FROM events
GROUP BY ALL
