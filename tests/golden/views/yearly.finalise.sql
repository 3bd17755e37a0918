SELECT
  partials."year" AS "year",
  partials."n" AS "n",
  partials."paid" AS "paid",
  CASE WHEN len(partials."shops") >= 4096 THEN round(4095 / (partials."shops"[4096] / 9223372036854775808.0::DOUBLE))::BIGINT ELSE coalesce(len(partials."shops"), 0) END AS "shops"
FROM partials
