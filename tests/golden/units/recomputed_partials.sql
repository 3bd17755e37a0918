WITH below AS (
  SELECT * FROM raw WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))
),
records_of_unit AS (
  SELECT * FROM (
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM below WHERE _contract_version IN ('ecd37df741f73a8f')
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM again WHERE _reject IS NOT NULL OR _event_date = DATE '2024-05-01'
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed", "shop", "weight" FROM (SELECT * FROM mended WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))) WHERE _event_date = DATE '2024-05-01'
  ) QUALIFY row_number() OVER (PARTITION BY _source, _partition, _offset ORDER BY _reject IS NOT NULL) = 1
),
copies AS (
  SELECT _source, _partition, _offset FROM records_of_unit WHERE _reject IS NULL AND "id" IS NOT NULL
  QUALIFY row_number() OVER (PARTITION BY "id", "placed" ORDER BY _source, _partition, _offset) > 1
),
events AS (
  SELECT _source, _partition, _offset, "amount", "id", "placed", "shop", "weight"
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
  sum(_float_high(events."weight"))::DECIMAL(38,0) AS "weight__high",
  sum(_float_middle(events."weight"))::DECIMAL(38,0) AS "weight__middle",
  sum(_float_low(events."weight"))::DECIMAL(38,0) AS "weight__low",
  _float_rest(list((events."weight")::DOUBLE) FILTER (WHERE (true) AND _float_beyond(events."weight"))) AS "weight__rest",
  count(events."weight") AS "weight__count",
  CASE WHEN len(list(DISTINCT (hash((events."id")) >> 1)::BIGINT) FILTER (WHERE true AND (events."id") IS NOT NULL)) > 4096 THEN list_aggregate(list(DISTINCT (hash((events."id")) >> 1)::BIGINT) FILTER (WHERE true AND (events."id") IS NOT NULL), 'min', 4096) ELSE list_sort(list(DISTINCT (hash((events."id")) >> 1)::BIGINT) FILTER (WHERE true AND (events."id") IS NOT NULL)) END AS "ids",
  max(events."placed") AS "latest",
  count(*) AS "_events"
FROM events
GROUP BY ALL
)
