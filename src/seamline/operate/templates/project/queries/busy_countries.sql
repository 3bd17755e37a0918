-- Countries by their orders since a moment, the busiest first.
-- $since TIMESTAMPTZ = 2024-01-01
-- $least INTEGER = 1 -- so many orders, or more
SELECT country, sum(orders) AS orders, sum(revenue) AS revenue
FROM orders_by_hour
WHERE hour >= $since
GROUP BY country
HAVING sum(orders) >= $least
ORDER BY orders DESC, country
