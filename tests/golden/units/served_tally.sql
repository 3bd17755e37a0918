WITH below AS (
  SELECT * FROM known WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)
  UNION ALL BY NAME
  SELECT * FROM raw WHERE ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END))
),
blocks AS (
  SELECT count(*) AS stood, count(*) FILTER (WHERE _contract_version IS DISTINCT FROM 'ecd37df741f73a8f') AS foreign_rows,
    count(_reject) AS rejected, bit_or(1::UBIGINT << (_offset & 63)::UBIGINT) AS places
  FROM below GROUP BY _source, _partition, _offset >> 6
)
SELECT sum(stood) AS stood, sum(foreign_rows) AS foreign_rows, sum(rejected) AS rejected, sum(bit_count(places)) AS positions,
  (SELECT count(*) FROM raw) AS held
FROM blocks
