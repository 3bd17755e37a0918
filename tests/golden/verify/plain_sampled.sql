WITH records_of_unit AS NOT MATERIALIZED (
  SELECT _source, _partition, _offset, "amount", "id", "placed", "shop", "weight"
  FROM raw WHERE _reject IS NULL
),
events AS NOT MATERIALIZED (
  SELECT _source, _partition, _offset, "amount", "id", "placed", "shop", "weight"
  FROM records_of_unit
),
sampled AS MATERIALIZED (
  SELECT * FROM (
SELECT
  TRY(time_bucket(interval '1 hour', events."placed")) AS _key1,
  events."shop" AS _key2,
  events."amount" AS _read1,
  events."weight" AS _read2,
  events."id" AS _read3,
  events."placed" AS _read4,
  events._source,
  events._partition,
  events._offset,
  events."id"::VARCHAR AS _event_id,
  events."placed" AS _event_time
FROM events
  ) WHERE hash('salt', _key1, _key2) <= 99::UBIGINT AND hash('salt', _key1, _key2) NOT IN (7)
),
later AS (
  SELECT _source, _partition, _offset FROM events AS e SEMI JOIN sampled AS s
    ON e."id"::VARCHAR = s._event_id AND e."placed" IS NOT DISTINCT FROM s._event_time
  QUALIFY row_number() OVER (PARTITION BY e."id"::VARCHAR, e."placed" ORDER BY _source, _partition, _offset) > 1
)
SELECT hash('salt', _key1, _key2) AS _h, _key1::VARCHAR AS _key1, _key2::VARCHAR AS _key2, * EXCLUDE (_key1, _key2, _source, _partition, _offset, _event_id, _event_time)
FROM sampled AS r ANTI JOIN later AS c
    ON r._source = c._source AND r._partition = c._partition AND r._offset = c._offset
LIMIT 11
