WITH below AS (
  SELECT * FROM known WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)
  UNION ALL BY NAME
  SELECT * FROM raw WHERE ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END))
),
records_of_unit AS (
  SELECT _source, _partition, _offset, _timestamp, _reject, "id", "placed", "shop", "amount", "weight" FROM below WHERE _contract_version = '602a52cbb55beac9'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "id", "placed", "shop", "amount", "weight" FROM again WHERE _reject IS NOT NULL OR _event_date = DATE '2024-05-01'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "id", "placed", "shop", "amount", "weight" FROM (SELECT * FROM mended WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) WHERE _event_date = DATE '2024-05-01'
),
places AS (
  SELECT _source, _partition, _offset, count(*) AS _stood, bool_or(_reject IS NULL) AS _valid,
    any_value("id") FILTER (WHERE _reject IS NULL) AS _id, any_value("placed") FILTER (WHERE _reject IS NULL) AS _time,
    any_value(hash("id", "placed", "shop", "amount", "weight")) FILTER (WHERE _reject IS NULL) AS _content
  FROM records_of_unit GROUP BY _source, _partition, _offset
),
copied AS (
  SELECT count(DISTINCT _content) AS contents
  FROM places WHERE _valid AND _id IS NOT NULL GROUP BY _id, _time
),
beyond AS (
  SELECT _source, _partition, _offset FROM (
    SELECT _source, _partition, _offset, row_number() OVER (PARTITION BY "id", "placed" ORDER BY _source, _partition, _offset) = 1 AS _first,
      coalesce(epoch_us(_timestamp) - lag(epoch_us(_timestamp)) OVER (PARTITION BY "id", "placed" ORDER BY _timestamp, _source, _partition, _offset) > 3600000000, false) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)) AS _apart
    FROM records_of_unit WHERE _reject IS NULL AND "id" IS NOT NULL
  ) WHERE _apart AND NOT _first
)
SELECT sum(_stood) AS stood, count(*) AS positions, count(*) FILTER (WHERE NOT _valid) AS rejected,
  count(*) FILTER (WHERE _valid AND _id IS NULL) + (SELECT count(*) FROM copied) AS events,
  (SELECT sum(contents - 1) FROM copied) AS disagreeing, (SELECT count(*) FROM beyond) AS beyond
FROM places
