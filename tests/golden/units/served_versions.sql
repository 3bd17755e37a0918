WITH below AS (
  SELECT * FROM known WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END)
  UNION ALL BY NAME
  SELECT * FROM raw WHERE ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END)) AND NOT ((_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 3 ELSE 0 END))
)
SELECT count(*) FILTER (WHERE _contract_version = '602a52cbb55beac9') AS own, count(*) FILTER (WHERE _contract_version IS DISTINCT FROM '602a52cbb55beac9') AS foreign_rows
FROM below
