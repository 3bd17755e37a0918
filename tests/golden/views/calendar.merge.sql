SELECT
  partials."month",
  partials."weeks",
  partials."quarter",
  partials."date",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n"
FROM partials
GROUP BY ALL
