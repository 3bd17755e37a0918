WITH records_of_unit AS NOT MATERIALIZED (
  SELECT _source, _partition, _offset, "amount", "id", "placed", "shop", "weight"
  FROM (
    SELECT * FROM raw WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))
  ) WHERE _reject IS NULL
)
SELECT hash("id", "placed") AS _hash FROM records_of_unit WHERE "id" IS NOT NULL
