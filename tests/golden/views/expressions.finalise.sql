SELECT
  partials."date" AS "date",
  partials."Shop" AS "Shop",
  partials."pieces" AS "pieces",
  partials."total" AS "total",
  TRY((partials."total")/ nullif((partials."rate__2"), 0)) AS "rate",
  TRY_CAST(TRY(((partials."half__1")::HUGEINT) // 2) AS DECIMAL(38,0)) AS "half",
  TRY(round((CASE WHEN partials."weight__1__count" > 0 THEN _float_sum(partials."weight__1__high", partials."weight__1__middle", partials."weight__1__low", partials."weight__1__rest") / partials."weight__1__count" END), 1)::varchar || ' kg') AS "weight",
  TRY(partials."pieces"* (partials."rate__2")) AS "together",
  partials."settled" AS "settled"
FROM partials
WHERE TRY((partials."_having__1")>= 1 and partials."pieces"< 100 and (partials."total") is null)
