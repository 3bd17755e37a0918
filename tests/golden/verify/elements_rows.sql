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
