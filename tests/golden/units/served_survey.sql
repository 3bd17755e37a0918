WITH below AS (
  SELECT * FROM known WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)
  UNION ALL BY NAME
  SELECT * FROM raw WHERE ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END))
),
records_of_unit AS (
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM below WHERE _contract_version IN ('ecd37df741f73a8f')
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM again WHERE _reject IS NOT NULL OR _event_date = DATE '2024-05-01'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM (SELECT * FROM mended WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) WHERE _event_date = DATE '2024-05-01'
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
suspects AS (
  SELECT DISTINCT _source, _partition, _offset, "id" AS _id, "placed" AS _time, greatest(0, least(4294967295, coalesce(epoch_us(_timestamp), 0) // 1000000)) AS _second,
    ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)) AS _at_once
  FROM records_of_unit WHERE _reject IS NULL AND "id" IS NOT NULL
  QUALIFY count(*) OVER (PARTITION BY "id", "placed") > 1
),
read_of_unit AS (
  SELECT s.*, CASE WHEN _at_once THEN 0 ELSE coalesce(e.epoch, 0) END AS _epoch, e.horizon
  FROM suspects AS s ASOF LEFT JOIN (FROM reading WHERE first < next) AS e
    ON s._source = e.source AND s._partition = e."partition" AND s._offset >= e.first
  WHERE s._source NOT LIKE 'import:%'
),
ranked AS (
  SELECT *, row_number() OVER of_event AS _rank,
    lag(_second) OVER of_event AS _before_second,
    lag(_source) OVER of_event AS _before_source,
    lag(_partition) OVER of_event AS _before_partition,
    lag(_offset) OVER of_event AS _before_offset,
    lag(_at_once) OVER of_event AS _before_at_once
  FROM read_of_unit
  WINDOW of_event AS (PARTITION BY _id, _time ORDER BY _epoch, _source, _partition, _offset)
),
known_copies AS (
  SELECT c._source, c._partition, c._offset FROM ranked AS c LEFT JOIN reading AS m
    ON m.epoch = c._epoch AND m.source = c._before_source AND m."partition" = c._before_partition
  WHERE NOT c._at_once AND c._before_offset >= coalesce(m.remembered, 0)
    AND (c._before_second = 0 OR c._second = 0 OR abs(c._before_second - c._second) <= c.horizon)
  UNION
  SELECT c._source, c._partition, c._offset FROM ranked AS c JOIN ranked AS a ON a._id = c._id AND a._time = c._time LEFT JOIN reading AS m
    ON m.epoch = c._epoch AND m.source = a._source AND m."partition" = a._partition
  WHERE NOT c._at_once AND a._offset >= coalesce(m.remembered, 0)
    AND (c._before_at_once OR NOT (c._before_second = 0 OR c._second = 0 OR abs(c._before_second - c._second) <= c.horizon)) AND a._rank < c._rank AND (a._second = 0 OR c._second = 0 OR abs(a._second - c._second) <= c.horizon)
),
copies AS (
  SELECT _source, _partition, _offset FROM suspects WHERE _at_once QUALIFY row_number() OVER (PARTITION BY _id, _time ORDER BY _source, _partition, _offset) > 1
  UNION ALL
  SELECT _source, _partition, _offset FROM known_copies
)
SELECT sum(_stood) AS stood, count(*) AS positions, count(*) FILTER (WHERE NOT _valid) AS rejected,
  count(*) FILTER (WHERE _valid AND _id IS NULL) + (SELECT count(*) FROM copied) AS events,
  (SELECT sum(contents - 1) FROM copied) AS disagreeing, (SELECT count(*) - count(DISTINCT (_id, _time)) FROM suspects) - (SELECT count(*) FROM copies) AS beyond
FROM places
