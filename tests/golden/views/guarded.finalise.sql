SELECT
  partials."day" AS "day",
  partials."number" AS "number",
  partials."none" AS "none",
  partials."n" AS "n"
FROM partials
