SELECT
  partials."Shop" AS "Shop",
  partials."settled" AS "settled",
  partials."day" AS "day",
  partials."n" AS "n"
FROM partials
