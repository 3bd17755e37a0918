SELECT
  TRY(date_trunc('year', events."placed")) AS "year",
  count(*) AS "n",
  sum((events."pieces")) FILTER (WHERE TRY(events."paid"))::DECIMAL(38,0) AS "paid",
  CASE WHEN len(list(DISTINCT (hash((events."Shop")) >> 1)::BIGINT) FILTER (WHERE true AND (events."Shop") IS NOT NULL)) > 4096 THEN list_aggregate(list(DISTINCT (hash((events."Shop")) >> 1)::BIGINT) FILTER (WHERE true AND (events."Shop") IS NOT NULL), 'min', 4096) ELSE list_sort(list(DISTINCT (hash((events."Shop")) >> 1)::BIGINT) FILTER (WHERE true AND (events."Shop") IS NOT NULL)) END AS "shops",
  count(*) AS "_events"
FROM events
GROUP BY ALL
