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
    json_type(_doc, ['$', '$."at"', '$."s"', '$."i"', '$."n"', '$."d"', '$."b"', '$."day"', '$."ts"', '$."o"', '$."o"."x"', '$."o"."when"', '$."o"."p"', '$."o"."p"."y"', '$."l"', '$."m"']) AS _kinds,
    TRY(json_transform(_doc, '{"at":"VARCHAR","s":"VARCHAR","i":"BIGINT","n":"DOUBLE","d":"DECIMAL(38,30)","b":"BOOLEAN","day":"VARCHAR","ts":"VARCHAR","o":{"x":"BIGINT","when":"VARCHAR","p":{"y":"VARCHAR"}},"l":["BIGINT"],"m":[{"x":"DECIMAL(38,10)","t":["VARCHAR"]}]}')) AS _raw
  FROM _documents
),
_typed AS (
  SELECT *,
    TRY_CAST(CASE WHEN regexp_full_match(_raw['at'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN _raw['at'] WHEN regexp_full_match(_raw['at'], '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(_raw['at']), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE) AS _f0,
    _raw['s'] AS _f1,
    _raw['i'] AS _f2,
    _raw['n'] AS _f3,
    TRY_CAST(_raw['d'] AS DECIMAL(10,2)) AS _f4,
    _raw['b'] AS _f5,
    CASE WHEN regexp_full_match(_raw['day'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])') THEN TRY_CAST(_raw['day'] AS DATE) END AS _f6,
    TRY_CAST(CASE WHEN regexp_full_match(_raw['ts'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN _raw['ts'] WHEN regexp_full_match(_raw['ts'], '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(_raw['ts']), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE) AS _f7,
    CASE WHEN _raw['o'] IS NOT NULL THEN struct_pack("x" := _raw['o']['x'], "when" := CASE WHEN regexp_full_match(_raw['o']['when'], '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])') THEN TRY_CAST(_raw['o']['when'] AS DATE) END, "p" := _raw['o']['p']) END AS _f8,
    _raw['l'] AS _f9,
    list_transform(_raw['m'], lambda c0: CASE WHEN c0 IS NOT NULL THEN struct_pack("x" := TRY_CAST(c0['x'] AS DECIMAL(30,2)), "t" := list_transform(c0['t'], lambda c1: TRY_CAST(CASE WHEN regexp_full_match(c1, '(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN c1 WHEN regexp_full_match(c1, '\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?|\d{8}[Tt]\d{4}(?:\d\d(?:[.,]\d{1,9})?)?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN regexp_replace(regexp_replace(replace(replace(upper(c1), ',', '.'), ' UTC', 'Z'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})', '\1-\2-\3T\4:\5:\6'), '^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})', '\1-\2-\3T\4:\5') END AS TIMESTAMP WITH TIME ZONE))) END) AS _f10
  FROM _parsed
),
_judged AS (
  SELECT *, coalesce(_unreadable, CASE
      WHEN _kinds[1] <> 'OBJECT' OR _raw IS NULL THEN 'not an object'
      WHEN coalesce(_kinds[2], 'NULL') = 'NULL' THEN 'missing: at'
      WHEN _kinds[2] = 'VARCHAR' AND _f0 IS NULL AND regexp_full_match(json_extract_string(_doc, '$."at"'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: at'
      WHEN _kinds[2] <> 'NULL' AND (_kinds[2] <> 'VARCHAR' OR NOT coalesce(_f0 BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: at'
      WHEN _kinds[3] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: s'
      WHEN _kinds[4] NOT IN ('NULL', 'UBIGINT', 'BIGINT') AND (_kinds[4] <> 'DOUBLE' OR _raw['i'] IS NOT NULL) THEN 'wrong type: i'
      WHEN _kinds[4] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['i'] IS NULL THEN 'out of range: i'
      WHEN _kinds[5] NOT IN ('NULL', 'DOUBLE', 'UBIGINT', 'BIGINT') THEN 'wrong type: n'
      WHEN _kinds[5] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND NOT coalesce(isfinite(_raw['n']), false) THEN 'out of range: n'
      WHEN _kinds[6] NOT IN ('NULL', 'DOUBLE', 'UBIGINT', 'BIGINT') THEN 'wrong type: d'
      WHEN _kinds[6] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['d'] IS NULL THEN 'out of range: d'
      WHEN _raw['d'] IS DISTINCT FROM _f4 THEN 'too precise: d'
      WHEN _kinds[7] NOT IN ('NULL', 'BOOLEAN') THEN 'wrong type: b'
      WHEN _kinds[8] <> 'NULL' AND (_kinds[8] <> 'VARCHAR' OR _f6 IS NULL) THEN 'wrong type: day'
      WHEN _kinds[9] = 'VARCHAR' AND _f7 IS NULL AND regexp_full_match(json_extract_string(_doc, '$."ts"'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: ts'
      WHEN _kinds[9] <> 'NULL' AND (_kinds[9] <> 'VARCHAR' OR NOT coalesce(_f7 BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: ts'
      WHEN _kinds[10] NOT IN ('NULL', 'OBJECT') THEN 'wrong type: o'
      WHEN _kinds[10] = 'OBJECT' AND coalesce(_kinds[11], 'NULL') = 'NULL' THEN 'missing: o.x'
      WHEN _kinds[11] NOT IN ('NULL', 'UBIGINT', 'BIGINT') AND (_kinds[11] <> 'DOUBLE' OR _raw['o']['x'] IS NOT NULL) THEN 'wrong type: o.x'
      WHEN _kinds[11] IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['o']['x'] IS NULL THEN 'out of range: o.x'
      WHEN _kinds[12] <> 'NULL' AND (_kinds[12] <> 'VARCHAR' OR _f8['when'] IS NULL) THEN 'wrong type: o.when'
      WHEN _kinds[13] NOT IN ('NULL', 'OBJECT') THEN 'wrong type: o.p'
      WHEN _kinds[14] NOT IN ('NULL', 'VARCHAR') THEN 'wrong type: o.p.y'
      WHEN _kinds[15] NOT IN ('NULL', 'ARRAY') THEN 'wrong type: l'
    END, CASE WHEN _kinds[15] = 'ARRAY' THEN list_filter(list_transform(json_extract(_doc, '$."l"[*]'), lambda e0, i0: CASE   WHEN json_type(e0) NOT IN ('NULL', 'UBIGINT', 'BIGINT') AND (json_type(e0) <> 'DOUBLE' OR _raw['l'][i0] IS NOT NULL) THEN 'wrong type: l[]'   WHEN json_type(e0) IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['l'][i0] IS NULL THEN 'out of range: l[]' END), lambda r0: r0 IS NOT NULL)[1] END, CASE
      WHEN _kinds[16] NOT IN ('NULL', 'ARRAY') THEN 'wrong type: m'
    END, CASE WHEN _kinds[16] = 'ARRAY' THEN list_filter(list_transform(json_extract(_doc, '$."m"[*]'), lambda e0, i0: coalesce(CASE   WHEN json_type(e0) NOT IN ('NULL', 'OBJECT') THEN 'wrong type: m[]'   WHEN json_type(e0) = 'OBJECT' AND coalesce(json_type(e0, '$."x"'), 'NULL') = 'NULL' THEN 'missing: m[].x'   WHEN json_type(e0, '$."x"') NOT IN ('NULL', 'DOUBLE', 'UBIGINT', 'BIGINT') THEN 'wrong type: m[].x'   WHEN json_type(e0, '$."x"') IN ('DOUBLE', 'UBIGINT', 'BIGINT') AND _raw['m'][i0]['x'] IS NULL THEN 'out of range: m[].x'   WHEN _raw['m'][i0]['x'] IS DISTINCT FROM _f10[i0]['x'] THEN 'too precise: m[].x'   WHEN json_type(e0, '$."t"') NOT IN ('NULL', 'ARRAY') THEN 'wrong type: m[].t' END, CASE WHEN json_type(e0, '$."t"') = 'ARRAY' THEN list_filter(list_transform(json_extract(e0, '$."t"[*]'), lambda e1, i1: CASE   WHEN coalesce(json_type(e1), 'NULL') = 'NULL' THEN 'missing: m[].t[]'   WHEN json_type(e1) = 'VARCHAR' AND _f10[i0]['t'][i1] IS NULL AND regexp_full_match(json_extract_string(e1, '$'), '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?|\d{8}[Tt]\d{4}60(?:[.,]\d{1,9})?(?:[Zz]| UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?') THEN 'leap second: m[].t[]'   WHEN json_type(e1) <> 'NULL' AND (json_type(e1) <> 'VARCHAR' OR NOT coalesce(_f10[i0]['t'][i1] BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', false)) THEN 'wrong type: m[].t[]' END), lambda r1: r1 IS NOT NULL)[1] END)), lambda r0: r0 IS NOT NULL)[1] END, CASE
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
  '762bd3d7daa16669' AS _contract_version,
  _reject,
  CASE WHEN _reject IS NULL THEN make_timestamp(epoch_us(_f0))::DATE ELSE CASE WHEN _timestamp >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND _timestamp < TIMESTAMPTZ '9999-12-31 00:00:00+00' THEN make_timestamp(epoch_us(_timestamp))::DATE ELSE DATE '1970-01-01' END END AS _event_date,
  (_id >> 64)::UBIGINT AS _id_hi,
  (_id & 18446744073709551615::UHUGEINT)::UBIGINT AS _id_lo,
  CASE WHEN _reject IS NULL THEN _f0 END AS "at",
  CASE WHEN _reject IS NULL THEN _f1 END AS "s",
  CASE WHEN _reject IS NULL THEN _f2 END AS "i",
  CASE WHEN _reject IS NULL THEN _f3 END AS "n",
  CASE WHEN _reject IS NULL THEN _f4 END AS "d",
  CASE WHEN _reject IS NULL THEN _f5 END AS "b",
  CASE WHEN _reject IS NULL THEN _f6 END AS "day",
  CASE WHEN _reject IS NULL THEN _f7 END AS "ts",
  CASE WHEN _reject IS NULL THEN _f8 END AS "o",
  CASE WHEN _reject IS NULL THEN _f9 END AS "l",
  CASE WHEN _reject IS NULL THEN _f10 END AS "m"
FROM _identified
