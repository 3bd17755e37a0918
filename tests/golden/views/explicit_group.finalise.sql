SELECT
  partials."Shop" AS "Shop",
  partials."settled" AS "settled",
  partials."n" AS "n"
FROM partials
