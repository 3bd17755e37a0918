SELECT
  partials."Shop",
  partials."settled",
  partials."day",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
