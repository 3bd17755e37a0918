-- sales, as it is said here
-- mean may differ from what is served: relative 1e-15: the kernel divides in more digits than DOUBLE has, and Spark does not
-- shops is left out: Spark SQL has no exact merge of approx_count_distinct for this type
CREATE OR REPLACE TEMP VIEW `sales` AS
SELECT
  partials.`hour` AS `hour`,
  partials.`shop` AS `shop`,
  partials.`orders` AS `orders`,
  CASE WHEN partials.`amount__high` IS NOT NULL THEN coalesce(try_cast(transform(array(named_struct('h', partials.`amount__high` + (partials.`amount__low` div 10000000000000000000) - CASE WHEN partials.`amount__low` % 10000000000000000000 < 0 THEN 1 ELSE 0 END, 'l', partials.`amount__low` % 10000000000000000000 + CASE WHEN partials.`amount__low` % 10000000000000000000 < 0 THEN 1 ELSE 0 END * 10000000000000000000)), v -> concat(CASE WHEN v.h < 0 THEN '-' ELSE '' END, CASE WHEN v.h < 0 AND v.l > 0 THEN concat(replace(CAST(v.h + 1 AS STRING), '-', ''), lpad(CAST(10000000000000000000 - v.l AS STRING), 19, '0')) ELSE concat(replace(CAST(v.h AS STRING), '-', ''), lpad(CAST(v.l AS STRING), 19, '0')) END))[0] AS DECIMAL(38,0)), CAST(raise_error('VALUE_OUT_OF_RANGE: column amount: a sum does not fit DECIMAL(38,0)') AS DECIMAL(38,0))) END AS `amount`,
  CASE WHEN partials.`mean__count` > 0 THEN CAST(partials.`mean__sum` AS DOUBLE) / CAST(partials.`mean__count` AS DOUBLE) END AS `mean`,
  partials.`latest`.x AS `latest`
FROM (
  SELECT
    stored.`hour`,
    stored.`shop`,
    coalesce(sum(stored.`orders`), 0) AS `orders`,
    sum(stored.`amount__high`) AS `amount__high`,
    sum(stored.`amount__low`) AS `amount__low`,
    sum(stored.`mean__sum`) AS `mean__sum`,
    coalesce(sum(stored.`mean__count`), 0) AS `mean__count`,
    max(CASE WHEN stored.`latest` IS NOT NULL THEN named_struct('a', stored.`latest`.a, 'n', stored.`latest`.x IS NULL, 'x', stored.`latest`.x) END) AS `latest`
  FROM (
    SELECT `hour`, `shop`, `orders`, `amount__high`, `amount__low`, `mean__sum`, `mean__count`, `latest` FROM parquet.`s3a://bucket/lake/batch/x/2024-05-01/1.parquet`
    UNION ALL SELECT `hour`, `shop`, `orders`, `amount__high`, `amount__low`, `mean__sum`, `mean__count`, `latest` FROM parquet.`file:///lake \[1\]/batch/x/2024-05-02/2.parquet`
  ) AS stored
  GROUP BY stored.`hour`, stored.`shop`
) AS partials;
