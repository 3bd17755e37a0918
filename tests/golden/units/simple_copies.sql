WITH records_of_unit AS NOT MATERIALIZED (
  SELECT _source, _partition, _offset, "amount", "id", "placed", "shop", "weight"
  FROM (
    SELECT * FROM raw WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))
  ) WHERE _reject IS NULL
),
suspects AS (
  SELECT _source, _partition, _offset, d._id, d._time, hash(r."id", r."placed", r."shop", r."amount", r."weight") AS _content
  FROM records_of_unit AS r JOIN doubled AS d ON r."id" = d._id AND r."placed" IS NOT DISTINCT FROM d._time
)
SELECT _source, _partition, _offset, row_number() OVER (PARTITION BY _id, _time, _content ORDER BY _source, _partition, _offset) = 1 AS _disagrees
FROM suspects QUALIFY row_number() OVER (PARTITION BY _id, _time ORDER BY _source, _partition, _offset) > 1
