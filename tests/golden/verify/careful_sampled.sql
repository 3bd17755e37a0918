WITH below AS (
  SELECT * FROM raw WHERE (_source IN ('import:f'))
),
records_of_unit AS (
  SELECT * FROM (
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed" FROM below WHERE _contract_version IN ('ecd37df741f73a8f')
  UNION ALL
  SELECT _source, _partition, _offset, _timestamp, _reject, "amount", "id", "placed" FROM again WHERE _reject IS NOT NULL OR _event_date = DATE '2024-05-01'
  ) QUALIFY row_number() OVER (PARTITION BY _source, _partition, _offset ORDER BY _reject IS NOT NULL) = 1
),
events AS NOT MATERIALIZED (
  SELECT _source, _partition, _offset, "amount", "id", "placed"
  FROM records_of_unit
  WHERE _reject IS NULL
),
sampled AS MATERIALIZED (
  SELECT * FROM (
SELECT
  TRY(events."placed"::date) AS _key1,
  events."_element" AS _key2,
  events."amount" AS _read1,
  events._source,
  events._partition,
  events._offset,
  events."id"::VARCHAR AS _event_id,
  events."placed" AS _event_time
FROM (
  SELECT *, unnest(TRY(string_split(events."id", '1'))) AS "_element"
  FROM events
  WHERE TRY(events."amount" > 1)
) AS events
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
