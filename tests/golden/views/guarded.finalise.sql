SELECT
  partials."number",
  partials."none" AS "none",
  partials."n" AS "n"
FROM partials
