SELECT
  partials."month" AS "month",
  partials."weeks" AS "weeks",
  partials."quarter" AS "quarter",
  partials."date" AS "date",
  partials."n" AS "n"
FROM partials
