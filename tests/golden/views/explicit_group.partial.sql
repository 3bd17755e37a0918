SELECT
  events."Shop" AS "Shop",
  events."paid" AS "settled",
  count(*) AS "n"
FROM events
GROUP BY ALL
