WITH partials AS (
SELECT * FROM stored WHERE hash('salt', "d", "part") <= 99::UBIGINT AND hash('salt', "d", "part") NOT IN (7)
)
SELECT hash('salt', partials."d", partials."part") AS _h,
  partials."d"::VARCHAR AS _key1,
  partials."part"::VARCHAR AS _key2,
  partials."_events" AS _1,
  false AS _out1,
  partials."n" AS _2,
  false AS _out2,
  partials."most" AS _3,
  false AS _out3
FROM (
SELECT
  partials."d",
  partials."part",
  coalesce(sum(partials."n"), 0)::BIGINT AS "n",
  CASE WHEN count(partials."most") < 2 THEN any_value(partials."most") ELSE list_sort(flatten(list(partials."most")), 'DESC')[:2] END AS "most",
  coalesce(sum(partials."_events"), 0)::BIGINT AS "_events"
FROM partials
GROUP BY ALL
) AS partials
