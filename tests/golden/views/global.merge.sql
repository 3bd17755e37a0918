SELECT
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  sum(partials."paid") AS "paid",
  list_sort(list_distinct(flatten(list(partials."shops"))))[:4096] AS "shops"
FROM partials
