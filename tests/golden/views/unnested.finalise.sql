SELECT
  partials."day" AS "day",
  partials."tag" AS "tag",
  partials."Shop" AS "Shop",
  partials."n" AS "n",
  partials."tags" AS "tags",
  partials."last_name" AS "last_name",
  TRY((partials."n")/ ((partials."r__2")::HUGEINT)) AS "r"
FROM partials
WHERE TRY(partials."tag" <> 'z')
