SELECT
  partials."year",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  sum(partials."paid") AS "paid",
  CASE WHEN len(list(partials."shops")) = 1 THEN list(partials."shops")[1] ELSE (CASE WHEN len(flatten(list(partials."shops"))) <= 1024 THEN list_sort(list_distinct(flatten(list(partials."shops")))) ELSE list_where(list_sort(flatten(list(partials."shops"))), list_transform(system.main.list_zip(list_sort(flatten(list(partials."shops"))), list_sort(flatten(list(partials."shops")))[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])) END)[:4096] END AS "shops",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
