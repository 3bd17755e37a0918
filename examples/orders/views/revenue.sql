-- What came in, exact to the cent: sums over decimals lose nothing, whatever the order of arrival.
CREATE MATERIALIZED VIEW revenue_by_day
  TBLPROPERTIES ('owner' = 'finance', 'description' = 'Revenue by the day, shop and currency')
AS SELECT time_bucket(INTERVAL '1 day', placed) AS day, shop, currency,
          count(*) FILTER (WHERE kind = 'sale') AS sales,
          count(*) FILTER (WHERE kind = 'refund') AS refunds,
          sum(total) AS revenue,
          sum(total) FILTER (WHERE kind = 'sale') AS sold,
          sum(total) FILTER (WHERE kind = 'refund') AS refunded
   FROM orders GROUP BY ALL;

-- The same in euros. A product of decimals keeps all eight of its digits: it is rounded once, after everything is
-- summed.
CREATE MATERIALIZED VIEW revenue_in_euros
  TBLPROPERTIES ('owner' = 'finance', 'description' = 'Revenue by the day and shop, in euros')
AS SELECT time_bucket(INTERVAL '1 day', placed) AS day, shop,
          sum(total * rate) AS exactly,
          round(sum(total * rate), 2) AS revenue,
          count(DISTINCT currency) AS currencies
   FROM orders GROUP BY ALL;

-- What is owed. `difference` is tax as it was charged against tax as it should have been: 0.00, always.
CREATE MATERIALIZED VIEW taxes (
    net COMMENT 'what was taxed, less what was given back',
    tax COMMENT 'as charged, rounded once for each order',
    difference COMMENT 'charged, less what should have been charged')
  TBLPROPERTIES ('owner' = 'finance', 'description' = 'Taxes by the day, tax rate and currency',
                 'tags' = 'money, audit', 'batch.retention' = '30 days')
AS SELECT time_bucket(INTERVAL '1 day', placed) AS day, tax_rate, currency,
          sum(net) AS net,
          sum(tax) AS tax,
          sum(tax) - sum(round(net * tax_rate, 2)) AS difference
   FROM orders GROUP BY ALL;
