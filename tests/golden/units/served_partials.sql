WITH below AS (
  SELECT * FROM known WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)
  UNION ALL BY NAME
  SELECT * FROM raw WHERE ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END))
),
records_of_unit AS (
  SELECT * FROM (
  SELECT _source, _partition, _offset, _timestamp, _reject, "id", "placed", "shop", "amount", "weight" FROM below WHERE _contract_version = '602a52cbb55beac9'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "id", "placed", "shop", "amount", "weight" FROM again WHERE _reject IS NOT NULL OR _event_date = DATE '2024-05-01'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "id", "placed", "shop", "amount", "weight" FROM (SELECT * FROM mended WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) WHERE _event_date = DATE '2024-05-01'
  ) QUALIFY row_number() OVER (PARTITION BY _source, _partition, _offset ORDER BY _reject IS NOT NULL) = 1
),
copies AS (
  SELECT _source, _partition, _offset FROM (
    SELECT _source, _partition, _offset, row_number() OVER (PARTITION BY "id", "placed" ORDER BY _source, _partition, _offset) = 1 AS _first,
      coalesce(epoch_us(_timestamp) - lag(epoch_us(_timestamp)) OVER (PARTITION BY "id", "placed" ORDER BY _timestamp, _source, _partition, _offset) > 3600000000, false) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)) AS _apart
    FROM records_of_unit WHERE _reject IS NULL AND "id" IS NOT NULL
  ) WHERE NOT _first AND NOT _apart
),
events AS (
  SELECT _source, _partition, _offset, "id", "placed", "shop", "amount", "weight"
  FROM records_of_unit AS r ANTI JOIN copies AS c
    ON r._source = c._source AND r._partition = c._partition AND r._offset = c._offset
  WHERE _reject IS NULL
)
SELECT * FROM (
SELECT
  TRY(time_bucket(interval '1 hour', events."placed")) AS "hour",
  events."shop" AS "shop",
  count(*) AS "orders",
  sum((events."amount"))::DECIMAL(38,0) AS "amount",
  sum(events."weight") AS "weight__sum",
  count(events."weight") AS "weight__count",
  sum(abs((events."weight")::DOUBLE)) AS "weight__size",
  CASE WHEN len(list(DISTINCT (hash(events."id") >> 1)::BIGINT) FILTER (WHERE true AND (events."id") IS NOT NULL)) > 4096 THEN list_aggregate(list(DISTINCT (hash(events."id") >> 1)::BIGINT) FILTER (WHERE true AND (events."id") IS NOT NULL), 'min', 4096) ELSE list_sort(list(DISTINCT (hash(events."id") >> 1)::BIGINT) FILTER (WHERE true AND (events."id") IS NOT NULL)) END AS "ids",
  max(events."placed") AS "latest"
FROM events
GROUP BY ALL
)
