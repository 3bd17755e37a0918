SELECT
  partials."quarter" AS "quarter",
  partials."Shop" AS "Shop",
  partials."city" AS "city",
  partials."orders" AS "orders",
  partials."counted" AS "counted",
  partials."pieces" AS "pieces",
  partials."price" AS "price",
  CASE WHEN partials."amount__high" IS NOT NULL THEN coalesce(TRY(regexp_replace(regexp_replace((partials."amount__high"::HUGEINT * 10000000000000000000::HUGEINT + partials."amount__low"::HUGEINT)::VARCHAR, '^(-?)', '\1000000000000000000000000000000000000000'), '(.{2})$', '.\1')::DECIMAL(38,2)), ('VALUE_OUT_OF_RANGE: column amount: a sum of ' || partials."amount__high"::VARCHAR || 'e19 units of 1e-2 does not fit DECIMAL(38,2)')::DECIMAL(38,2)) END AS "amount",
  _float_sum(partials."weight__high", partials."weight__middle", partials."weight__low", partials."weight__rest") AS "weight",
  CASE WHEN partials."counted" > 0 THEN finalize(to_aggregate_state({'count': partials."counted"::UBIGINT, 'value': partials."pieces"::HUGEINT}::STRUCT(count UBIGINT, value HUGEINT), 'avg', ['BIGINT'])) END AS "mean_pieces",
  CASE WHEN partials."mean_paid__count" > 0 AND TRY(partials."mean_paid__high"::HUGEINT * 10000000000000000000::HUGEINT + partials."mean_paid__low"::HUGEINT) IS NULL THEN (partials."mean_paid__high"::DOUBLE * 1e19 + partials."mean_paid__low"::DOUBLE) / partials."mean_paid__count" / 1e2 ELSE CASE WHEN partials."mean_paid__count" > 0 THEN finalize(to_aggregate_state({'count': partials."mean_paid__count"::UBIGINT, 'value': TRY(partials."mean_paid__high"::HUGEINT * 10000000000000000000::HUGEINT + partials."mean_paid__low"::HUGEINT)}::STRUCT(count UBIGINT, value HUGEINT), 'avg', ['DECIMAL(38,2)'])) END END AS "mean_paid",
  partials."first_day" AS "first_day",
  partials."heaviest" AS "heaviest",
  CASE WHEN len(partials."buyers") >= 4096 THEN round(4095 / (partials."buyers"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."buyers"), 0) END AS "buyers",
  CASE WHEN NOT (partials."spread").n >= 2 THEN NULL WHEN (NOT ((partials."spread").n = 1 OR ((partials."spread").least = (partials."spread").greatest AND (isfinite((partials."spread").least) AND isfinite((partials."spread").greatest)))) AND (isfinite((partials."spread").least) AND isfinite((partials."spread").greatest)) AND NOT isfinite((partials."spread").m2)) THEN ('VALUE_OUT_OF_RANGE: column spread: stddev_samp of values whose squares are out of range')::DOUBLE ELSE CASE WHEN (partials."spread").n = 1 OR ((partials."spread").least = (partials."spread").greatest AND (isfinite((partials."spread").least) AND isfinite((partials."spread").greatest))) THEN 0.0::DOUBLE WHEN NOT (isfinite((partials."spread").least) AND isfinite((partials."spread").greatest)) THEN 'NaN'::DOUBLE ELSE sqrt((partials."spread").m2 / ((partials."spread").n - 1)) END END AS "spread"
FROM partials
