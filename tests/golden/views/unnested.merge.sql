SELECT
  partials."day",
  partials."tag",
  partials."Shop",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  sum(partials."tags") AS "tags",
  max(partials."last_name") AS "last_name",
  sum(partials."r__2") AS "r__2",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
