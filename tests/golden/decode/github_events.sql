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
    json_type(_doc, ['$', '$."id"', '$."dt"', '$."repo"', '$."type"', '$."actor"', '$."commits"', '$."action"', '$."age"']) AS _kinds,
    TRY(json_transform(_doc, '{"id":"VARCHAR","dt":"VARCHAR","repo":"VARCHAR","type":"VARCHAR","actor":"VARCHAR","commits":"BIGINT","action":"VARCHAR","age":"VARCHAR"}')) AS _raw
  FROM _documents
),
_typed AS (
  SELECT *,
    _raw['id'] AS _f0,
    TRY_CAST(CASE WHEN regexp_full_match(_raw['dt'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN _raw['dt'] WHEN regexp_full_match(_raw['dt'], '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(_raw['dt']), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE) AS _f1,
    _raw['repo'] AS _f2,
    _raw['type'] AS _f3,
    _raw['actor'] AS _f4,
    _raw['commits'] AS _f5,
    _raw['action'] AS _f6,
    TRY_CAST(CASE WHEN regexp_full_match(_raw['age'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN _raw['age'] WHEN regexp_full_match(_raw['age'], '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(_raw['age']), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE) AS _f7
  FROM _parsed
),
_judged AS (
  SELECT *, coalesce(_unreadable, CASE
      WHEN _kinds[1] <> 'OBJECT' OR _raw IS NULL THEN 'not an object'
      WHEN coalesce(_kinds[2], 'NULL') = 'NULL' THEN 'missing: id'
      WHEN _kinds[2] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: id'
      WHEN coalesce(_kinds[3], 'NULL') = 'NULL' THEN 'missing: dt'
      WHEN _kinds[3] = 'VARCHAR' AND _f1 IS NULL AND regexp_full_match(json_extract_string(_doc, '$."dt"'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: dt'
      WHEN _kinds[3] <> 'NULL' AND (_kinds[3] <> 'VARCHAR' OR NOT coalesce(_f1 BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: dt'
      WHEN coalesce(_kinds[4], 'NULL') = 'NULL' THEN 'missing: repo'
      WHEN _kinds[4] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: repo'
      WHEN coalesce(_kinds[5], 'NULL') = 'NULL' THEN 'missing: type'
      WHEN _kinds[5] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: type'
      WHEN coalesce(_kinds[6], 'NULL') = 'NULL' THEN 'missing: actor'
      WHEN _kinds[6] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: actor'
      WHEN _kinds[7] NOT IN ('NULL', 'UBIGINT', 'BIGINT') AND (_kinds[7] <> 'DOUBLE' OR _raw['commits'] IS NOT NULL) THEN 'wrong type: commits'
      WHEN _kinds[7] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['commits'] IS NULL THEN 'out of range: commits'
      WHEN _kinds[8] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: action'
      WHEN _kinds[9] = 'VARCHAR' AND _f7 IS NULL AND regexp_full_match(json_extract_string(_doc, '$."age"'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: age'
      WHEN _kinds[9] <> 'NULL' AND (_kinds[9] <> 'VARCHAR' OR NOT coalesce(_f7 BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: age'
      WHEN _f1 < TIMESTAMPTZ '1970-01-01 00:00:00.000000+00' THEN 'event time too early'
      WHEN epoch_us(_f1) - 86400000000 > epoch_us(_timestamp) AND epoch_us(_timestamp) >= 1000000 THEN 'event time in the future'
      WHEN NOT (regexp_matches(_f0, '^[0-9]+$')) THEN 'rule pattern: id'
      WHEN NOT (_f5 >= (0)::BIGINT) THEN 'rule min: commits'
    END) AS _reject
  FROM _typed
),
_identified AS (
  SELECT *, CASE WHEN _reject IS NULL THEN md5_number('github_events:' || epoch_us(_f1)::VARCHAR || ':' || _f0::VARCHAR) END AS _id
  FROM _judged
)
SELECT _source, _partition, _offset, _timestamp, _key, _value,
  'a09e548872dd7107' AS _contract_version,
  _reject,
  CASE WHEN _reject IS NULL THEN make_timestamp(epoch_us(_f1))::DATE ELSE CASE WHEN _timestamp >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND _timestamp < TIMESTAMPTZ '9999-12-31 00:00:00+00' THEN make_timestamp(epoch_us(_timestamp))::DATE ELSE DATE '1970-01-01' END END AS _event_date,
  (_id >> 64)::UBIGINT AS _id_hi,
  (_id & 18446744073709551615::UHUGEINT)::UBIGINT AS _id_lo,
  CASE WHEN _reject IS NULL THEN _f0 END AS "id",
  CASE WHEN _reject IS NULL THEN _f1 END AS "dt",
  CASE WHEN _reject IS NULL THEN _f2 END AS "repo",
  CASE WHEN _reject IS NULL THEN _f3 END AS "type",
  CASE WHEN _reject IS NULL THEN _f4 END AS "actor",
  CASE WHEN _reject IS NULL THEN _f5 END AS "commits",
  CASE WHEN _reject IS NULL THEN _f6 END AS "action",
  CASE WHEN _reject IS NULL THEN _f7 END AS "age"
FROM _identified
