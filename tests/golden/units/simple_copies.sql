WITH records_of_unit AS NOT MATERIALIZED (
  SELECT _source, _partition, _offset, "amount", "id", "placed", "shop", "weight"
  FROM (
    SELECT * FROM raw WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))
  ) WHERE _reject IS NULL
),
suspects AS (
  SELECT _source, _partition, _offset, "id" AS _id, "placed" AS _time, hash("id", "placed", "shop", "amount", "weight") AS _content
  FROM records_of_unit SEMI JOIN doubled ON hash("id", "placed") = doubled._hash WHERE "id" IS NOT NULL
)
SELECT _source, _partition, _offset, row_number() OVER (PARTITION BY _id, _time, _content ORDER BY _source, _partition, _offset) = 1 AS _disagrees
FROM suspects QUALIFY row_number() OVER (PARTITION BY _id, _time ORDER BY _source, _partition, _offset) > 1
