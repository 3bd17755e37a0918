-- A view: one SELECT with GROUP BY over one contract, in plain DuckDB SQL. docs/views.md lists what it may hold.
-- 'seamline views apply' puts it into service; change it and apply again, and the new definition is built beside
-- the old one, which goes on serving until the new one is complete.
CREATE MATERIALIZED VIEW orders_by_hour
AS SELECT
  time_bucket(INTERVAL '1 hour', placed_at) AS hour,
  country,
  count(*) AS orders,
  sum(amount) AS revenue,
  max(amount) AS largest,
  approx_count_distinct(customer) AS customers
FROM orders
GROUP BY ALL

-- Another file, another view:
-- CREATE MATERIALIZED VIEW big_spenders
-- AS SELECT time_bucket(INTERVAL '1 month', placed_at, 'Europe/Paris') AS month, customer,
--           count(*) AS orders, sum(amount) AS spent
-- FROM orders WHERE amount >= 100 GROUP BY ALL
