WITH records AS (
  SELECT _source AS source, _partition AS "partition", _offset AS "offset", _timestamp AS "timestamp", _key AS key, _value AS value
  FROM raw WHERE _reject IS NOT NULL AND _contract_version IS DISTINCT FROM 'ecd37df741f73a8f' AND ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END))
)
SELECT * EXCLUDE (_key, _value) FROM (
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
    json_type(_doc, ['$', '$."id"', '$."placed"', '$."shop"', '$."amount"', '$."weight"']) AS _kinds,
    TRY(json_transform(_doc, '{"id":"VARCHAR","placed":"VARCHAR","shop":"VARCHAR","amount":"BIGINT","weight":"DOUBLE"}')) AS _raw
  FROM _documents
),
_typed AS (
  SELECT *,
    _raw['id'] AS _f0,
    TRY_CAST(CASE WHEN regexp_full_match(_raw['placed'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN _raw['placed'] WHEN regexp_full_match(_raw['placed'], '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(_raw['placed']), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE) AS _f1,
    _raw['shop'] AS _f2,
    _raw['amount'] AS _f3,
    _raw['weight'] AS _f4
  FROM _parsed
),
_judged AS (
  SELECT *, coalesce(_unreadable, CASE
      WHEN _kinds[1] <> 'OBJECT' OR _raw IS NULL THEN 'not an object'
      WHEN _kinds[2] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: id'
      WHEN coalesce(_kinds[3], 'NULL') = 'NULL' THEN 'missing: placed'
      WHEN _kinds[3] = 'VARCHAR' AND _f1 IS NULL AND regexp_full_match(json_extract_string(_doc, '$."placed"'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: placed'
      WHEN _kinds[3] <> 'NULL' AND (_kinds[3] <> 'VARCHAR' OR NOT coalesce(_f1 BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: placed'
      WHEN _kinds[4] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: shop'
      WHEN _kinds[5] NOT IN ('NULL', 'UBIGINT', 'BIGINT') AND (_kinds[5] <> 'DOUBLE' OR _raw['amount'] IS NOT NULL) THEN 'wrong type: amount'
      WHEN _kinds[5] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['amount'] IS NULL THEN 'out of range: amount'
      WHEN _kinds[6] NOT IN ('NULL', 'DOUBLE', 'UBIGINT', 'BIGINT') THEN 'wrong type: weight'
      WHEN _kinds[6] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND NOT coalesce(isfinite(_raw['weight']), false) THEN 'out of range: weight'
      WHEN _f1 < TIMESTAMPTZ '1970-01-01 00:00:00.000000+00' THEN 'event time too early'
      WHEN epoch_us(_f1) - 86400000000 > epoch_us(_timestamp) AND epoch_us(_timestamp) >= 1000000 THEN 'event time in the future'
    END) AS _reject
  FROM _typed
),
_identified AS (
  SELECT *, CASE WHEN _reject IS NULL THEN md5_number('orders:' || epoch_us(_f1)::VARCHAR || ':' || _f0::VARCHAR) END AS _id
  FROM _judged
)
SELECT _source, _partition, _offset, _timestamp, _key, _value,
  'ecd37df741f73a8f' AS _contract_version,
  _reject,
  CASE WHEN _reject IS NULL THEN make_timestamp(epoch_us(_f1))::DATE ELSE CASE WHEN _timestamp >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND _timestamp < TIMESTAMPTZ '9999-12-31 00:00:00+00' THEN make_timestamp(epoch_us(_timestamp))::DATE ELSE DATE '1970-01-01' END END AS _event_date,
  (_id >> 64)::UBIGINT AS _id_hi,
  (_id & 18446744073709551615::UHUGEINT)::UBIGINT AS _id_lo,
  CASE WHEN _reject IS NULL THEN _f0 END AS "id",
  CASE WHEN _reject IS NULL THEN _f1 END AS "placed",
  CASE WHEN _reject IS NULL THEN _f2 END AS "shop",
  CASE WHEN _reject IS NULL THEN _f3 END AS "amount",
  CASE WHEN _reject IS NULL THEN _f4 END AS "weight"
FROM _identified
) WHERE _reject IS NULL
