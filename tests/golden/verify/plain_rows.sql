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
