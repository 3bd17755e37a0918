WITH _texts AS (
  SELECT source AS _source, "partition" AS _partition, "offset" AS _offset, "timestamp" AS _timestamp,
    key AS _key, value AS _value,
    CASE WHEN octet_length(value) <= 16777216 THEN TRY(decode(value)) END AS _text
  FROM records
),
_documents AS (
  SELECT *, CASE WHEN json_valid(_text) AND NOT CASE WHEN regexp_matches(_text, ',[ \t\r\n]*[}\]]|(?:^|[:\[, \t\r\n-])(?i:nan|inf)') THEN regexp_matches(regexp_replace(_text, '"[^"\\]*(?:\\.[^"\\]*)*"', '', 'g'), ',[ \t\r\n]*[}\]]|(?i:nan|inf)') ELSE false END THEN _text END AS _doc
  FROM _texts
),
_parsed AS (
  SELECT * EXCLUDE (_text), CASE WHEN _value IS NULL THEN 'null value' WHEN octet_length(_value) > 16777216 THEN 'record too large' WHEN _text IS NULL THEN 'bad UTF-8' WHEN _doc IS NULL THEN 'bad JSON' END AS _unreadable,
    json_type(_doc, ['$', '$."at"', '$."n"']) AS _kinds,
    TRY(json_transform(_doc, '{"at":"VARCHAR","n":"BIGINT"}')) AS _raw
  FROM _documents
  WHERE coalesce(CASE WHEN json_type(_doc, '$."payload"."kind"') IN ('VARCHAR', 'UBIGINT', 'BIGINT', 'BOOLEAN') THEN json_extract_string(_doc, '$."payload"."kind"') END IN ('push'), false)
),
_typed AS (
  SELECT *,
    TRY_CAST(CASE WHEN regexp_full_match(_raw['at'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN _raw['at'] WHEN regexp_full_match(_raw['at'], '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(_raw['at']), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE) AS _f0,
    _raw['n'] AS _f1
  FROM _parsed
),
_judged AS (
  SELECT *, coalesce(_unreadable, CASE
      WHEN _kinds[1] <> 'OBJECT' OR _raw IS NULL THEN 'not an object'
      WHEN coalesce(_kinds[2], 'NULL') = 'NULL' THEN 'missing: at'
      WHEN _kinds[2] = 'VARCHAR' AND _f0 IS NULL AND regexp_full_match(json_extract_string(_doc, '$."at"'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: at'
      WHEN _kinds[2] <> 'NULL' AND (_kinds[2] <> 'VARCHAR' OR NOT coalesce(_f0 BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: at'
      WHEN _kinds[3] NOT IN ('NULL', 'UBIGINT', 'BIGINT') AND (_kinds[3] <> 'DOUBLE' OR _raw['n'] IS NOT NULL) THEN 'wrong type: n'
      WHEN _kinds[3] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['n'] IS NULL THEN 'out of range: n'
      WHEN _f0 < TIMESTAMPTZ '1970-01-01 00:00:00.000000+00' THEN 'event time too early'
      WHEN epoch_us(_f0) - 86400000000 > epoch_us(_timestamp) AND epoch_us(_timestamp) >= 1000000 THEN 'event time in the future'
    END) AS _reject
  FROM _typed
),
_identified AS (
  SELECT *, NULL::UHUGEINT AS _id
  FROM _judged
)
SELECT _source, _partition, _offset, _timestamp, _key, _value,
  'bf211f0875202c3e' AS _contract_version,
  _reject,
  CASE WHEN _reject IS NULL THEN make_timestamp(epoch_us(_f0))::DATE ELSE CASE WHEN _timestamp >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND _timestamp < TIMESTAMPTZ '9999-12-31 00:00:00+00' THEN make_timestamp(epoch_us(_timestamp))::DATE ELSE DATE '1970-01-01' END END AS _event_date,
  (_id >> 64)::UBIGINT AS _id_hi,
  (_id & 18446744073709551615::UHUGEINT)::UBIGINT AS _id_lo,
  CASE WHEN _reject IS NULL THEN _f0 END AS "at",
  CASE WHEN _reject IS NULL THEN _f1 END AS "n"
FROM _identified
