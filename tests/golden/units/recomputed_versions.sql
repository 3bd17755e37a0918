WITH below AS (
  SELECT * FROM raw WHERE (_source = 'orders@i' AND _offset < CASE _partition WHEN 0 THEN 7 WHEN 1 THEN 9 ELSE 0 END) OR (_source IN ('import:f'))
)
SELECT count(*) FILTER (WHERE _contract_version = '602a52cbb55beac9') AS own, count(*) FILTER (WHERE _contract_version IS DISTINCT FROM '602a52cbb55beac9') AS foreign_rows
FROM below
