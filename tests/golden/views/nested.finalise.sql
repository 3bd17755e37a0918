SELECT
  partials."city",
  partials."tag",
  partials."last_name" AS "last_name"
FROM partials
