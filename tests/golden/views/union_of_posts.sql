SELECT
  TRY(CASE WHEN events."at_time" >= TIMESTAMPTZ '0001-01-01 00:00:00+00' THEN time_bucket(INTERVAL '24 hours', events."at_time") ELSE time_bucket(interval '1 day', events."at_time") END) AS "day",
  min({'a': {'t': events."_event_time", 's': coalesce(events."_event_id"::VARCHAR, events._source), 'p': CASE WHEN events."_event_id" IS NULL THEN events._partition ELSE 0 END, 'o': CASE WHEN events."_event_id" IS NULL THEN events._offset ELSE 0 END}, 'x': events."actor"}) AS "first_one",
  max({'a': {'t': events."_event_time", 's': coalesce(events."_event_id"::VARCHAR, events._source), 'p': CASE WHEN events."_event_id" IS NULL THEN events._partition ELSE 0 END, 'o': CASE WHEN events."_event_id" IS NULL THEN events._offset ELSE 0 END}, 'x': events."actor"}) AS "last_one",
  list_sort(list({'a': {'t': events."_event_time", 's': coalesce(events."_event_id"::VARCHAR, events._source), 'p': CASE WHEN events."_event_id" IS NULL THEN events._partition ELSE 0 END, 'o': CASE WHEN events."_event_id" IS NULL THEN events._offset ELSE 0 END}, 'x': (events."kind")::VARCHAR}) FILTER (WHERE true AND (events."kind") IS NOT NULL))[:10001] AS "kinds",
  count(*) AS "_events"
FROM (
  SELECT _source,
    _partition,
    _offset,
    events."written" AS _event_time,
    NULL::VARCHAR AS _event_id,
    events."written" AS "at_time",
    events."author" AS "actor",
    NULL::VARCHAR AS "kind"
  FROM events
) AS events
GROUP BY ALL
