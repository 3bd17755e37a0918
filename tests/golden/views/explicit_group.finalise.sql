SELECT
  partials."Shop",
  partials."settled",
  partials."n" AS "n"
FROM partials
