-- How large orders are. An average over decimals is their exact sum, divided once.
CREATE MATERIALIZED VIEW order_values
  TBLPROPERTIES ('owner' = 'shops', 'description' = 'Size of orders by the hour, shop and currency')
AS SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, currency,
          count(*) AS orders,
          avg(total) AS mean_value,
          median(total) AS median_value,
          max(total) AS largest,
          max_by(id, total) AS largest_order,
          min(total) AS smallest,
          avg(len(lines)) AS mean_lines,
          approx_count_distinct(customer.id) AS customers
   FROM orders WHERE kind = 'sale' GROUP BY ALL;

-- Which share of what was sold is given back; of a shop's day with sales worth the name.
CREATE MATERIALIZED VIEW refund_share
  TBLPROPERTIES ('owner' = 'shops', 'description' = 'Refunds as a share of sales, by the day and shop')
AS SELECT time_bucket(INTERVAL '1 day', placed) AS day, shop,
          count_if(kind = 'refund') / nullif(count_if(kind = 'sale'), 0) AS of_orders,
          -sum(total * rate) FILTER (WHERE kind = 'refund')
            / nullif(sum(total * rate) FILTER (WHERE kind = 'sale'), 0) AS of_money
   FROM orders GROUP BY ALL HAVING count_if(kind = 'sale') >= 10;

-- Where customers are, and whether they come back: orders of a day against the customers who placed them.
CREATE MATERIALIZED VIEW customers_by_country
  TBLPROPERTIES ('owner' = 'shops', 'description' = 'Customers by the day and country')
AS SELECT time_bucket(INTERVAL '1 day', placed) AS day, coalesce(customer.country, 'unknown') AS country,
          approx_count_distinct(customer.id) AS customers,
          count(*) / nullif(approx_count_distinct(customer.id), 0) AS orders_per_customer,
          count(*) FILTER (WHERE len(lines) > 1) AS of_several_goods,
          sum(total * rate) AS euros
   FROM orders WHERE kind = 'sale' GROUP BY ALL;

-- What is sold: an order counts once for each of its lines. The line, an object, is the key, so a query can reckon with
-- its pieces and price. A refund's lines have negative pieces.
CREATE MATERIALIZED VIEW goods_sold
  TBLPROPERTIES ('owner' = 'shops', 'description' = 'Lines of orders, by the day, shop and currency')
AS SELECT time_bucket(INTERVAL '1 day', placed) AS day, shop, currency, unnest(lines) AS line,
          count(*) AS orders
   FROM orders GROUP BY ALL;
