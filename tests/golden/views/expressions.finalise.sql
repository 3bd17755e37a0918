SELECT
  partials."date" AS "date",
  partials."Shop" AS "Shop",
  partials."pieces" AS "pieces",
  partials."total" AS "total",
  TRY((partials."total")/ nullif((partials."rate__2"), 0)) AS "rate",
  TRY_CAST(TRY((partials."half__1")::HUGEINT // 2) AS DECIMAL(38,0)) AS "half",
  TRY(round((CASE WHEN partials."weight__1__count" > 0 THEN finalize(to_aggregate_state({'count': partials."weight__1__count"::UBIGINT, 'value': partials."weight__1__sum"}::STRUCT(count UBIGINT, value DOUBLE), 'avg', ['DOUBLE'])) END), 1)::varchar || ' kg') AS "weight",
  TRY(partials."pieces"* (partials."rate__2")) AS "together",
  partials."settled" AS "settled"
FROM partials
WHERE TRY((partials."_having__1")>= 1 and partials."pieces"< 100 and (partials."total") is null)
