SELECT
  partials."date",
  partials."city",
  partials."tag",
  max(partials."last_name") AS "last_name",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
