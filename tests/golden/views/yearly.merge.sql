SELECT
  partials."year",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  sum(partials."paid") AS "paid",
  CASE WHEN count(partials."shops") < 2 THEN any_value(partials."shops") ELSE list_where(list_sort(flatten(list(partials."shops"))), list_transform(list_zip(list_sort(flatten(list(partials."shops"))), list_sort(flatten(list(partials."shops")))[2:]), lambda pair: pair[1] IS DISTINCT FROM pair[2]))[:4096] END AS "shops"
FROM partials
GROUP BY ALL
