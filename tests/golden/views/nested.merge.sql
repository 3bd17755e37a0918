SELECT
  partials."date",
  partials."city",
  partials."tag",
  max(partials."last_name") AS "last_name"
FROM partials
GROUP BY ALL
