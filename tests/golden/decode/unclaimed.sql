WITH _texts AS (
  SELECT source AS _source, "partition" AS _partition, "offset" AS _offset, "timestamp" AS _timestamp,
    key AS _key, value AS _value,
    CASE WHEN octet_length(value) <= 16777216 THEN TRY(decode(value)) END AS _text
  FROM records
),
_documents AS (
  SELECT *, CASE WHEN json_valid(_text) AND NOT CASE WHEN regexp_matches(_text, ',[ \t\r\n]*[}\]]|(?:^|[:\[, \t\r\n-])(?i:nan|inf)') THEN regexp_matches(regexp_replace(_text, '"[^"\\]*(?:\\.[^"\\]*)*"', '', 'g'), ',[ \t\r\n]*[}\]]|(?i:nan|inf)') ELSE false END THEN _text END AS _doc
  FROM _texts
)
SELECT _source, _partition, _offset, _timestamp, _key, _value,
  'e11cd9a3a3611ec8' AS _contract_version,
  coalesce(CASE WHEN _value IS NULL THEN 'null value' WHEN octet_length(_value) > 16777216 THEN 'record too large' WHEN _text IS NULL THEN 'bad UTF-8' WHEN _doc IS NULL THEN 'bad JSON' END, CASE WHEN json_type(_doc) <> 'OBJECT' THEN 'not an object' WHEN coalesce(json_type(_doc, '$."payload"."kind"'), 'NULL') = 'NULL' THEN 'no discriminator: payload.kind' ELSE 'no contract claims this record' END) AS _reject,
  CASE WHEN _timestamp >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND _timestamp < TIMESTAMPTZ '9999-12-31 00:00:00+00' THEN make_timestamp(epoch_us(_timestamp))::DATE ELSE DATE '1970-01-01' END AS _event_date,
  (NULL::UHUGEINT >> 64)::UBIGINT AS _id_hi,
  (NULL::UHUGEINT & 18446744073709551615::UHUGEINT)::UBIGINT AS _id_lo
FROM _documents
WHERE NOT coalesce(CASE WHEN json_type(_doc, '$."payload"."kind"') IN ('VARCHAR', 'UBIGINT', 'BIGINT', 'BOOLEAN') THEN json_extract_string(_doc, '$."payload"."kind"') END IN ('push', '2'), false)
