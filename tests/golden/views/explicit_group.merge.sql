SELECT
  partials."Shop",
  partials."settled",
  partials."day",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n"
FROM partials
GROUP BY ALL
