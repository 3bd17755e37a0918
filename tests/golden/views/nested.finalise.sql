SELECT
  partials."date" AS "date",
  partials."city" AS "city",
  partials."tag" AS "tag",
  partials."last_name" AS "last_name"
FROM partials
