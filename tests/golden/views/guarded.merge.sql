SELECT
  partials."day",
  partials."number",
  sum(partials."none") AS "none",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n"
FROM partials
GROUP BY ALL
