WITH below AS (
  SELECT * FROM raw WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))
),
records_of_unit AS (
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM below WHERE _contract_version IN ('ecd37df741f73a8f')
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM again WHERE _reject IS NOT NULL OR _event_date = DATE '2024-05-01'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM (SELECT * FROM mended WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))) WHERE _event_date = DATE '2024-05-01'
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
)
SELECT sum(_stood) AS stood, count(*) AS positions, count(*) FILTER (WHERE NOT _valid) AS rejected,
  count(*) FILTER (WHERE _valid AND _id IS NULL) + (SELECT count(*) FROM copied) AS events,
  (SELECT sum(contents - 1) FROM copied) AS disagreeing, 0 AS beyond
FROM places
