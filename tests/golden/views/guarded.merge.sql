SELECT
  partials."day",
  partials."number",
  sum(partials."none") AS "none",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
