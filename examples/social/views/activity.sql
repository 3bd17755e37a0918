-- Views of each page on each kind of device, by the hour. A field of an object is reached with a dot.
CREATE MATERIALIZED VIEW page_activity
  TBLPROPERTIES ('owner' = 'web', 'description' = 'Page views by the hour, page and device')
AS SELECT time_bucket(INTERVAL '1 hour', happened) AS hour, page, device.type AS device,
          count(*) AS views,
          approx_count_distinct(member) AS viewers,
          sum(milliseconds) AS milliseconds,
          avg(milliseconds) / 1000 AS mean_seconds,
          max(milliseconds) AS longest
   FROM page_views GROUP BY ALL;

-- How many users a day has, and how much they do. Distinct counts merge too: a user seen by both layers counts once.
CREATE MATERIALIZED VIEW daily_active_users
  TBLPROPERTIES ('owner' = 'web', 'description' = 'Who was there, by the day')
AS SELECT time_bucket(INTERVAL '1 day', happened) AS day,
          approx_count_distinct(member) AS users,
          approx_count_distinct(member) FILTER (WHERE device.type = 'phone') AS on_phones,
          count(*) / nullif(approx_count_distinct(member), 0) AS views_per_user
   FROM page_views GROUP BY day;

-- How long pages are open: a quick look, a read, or left open; by the quarter of an hour. Spread and extremes besides.
CREATE MATERIALIZED VIEW reading_times
  TBLPROPERTIES ('owner' = 'web', 'description' = 'How long pages are open', 'speed.retention' = '2 days')
AS SELECT time_bucket(INTERVAL '15 minutes', happened) AS quarter,
          CASE WHEN milliseconds < 2000 THEN 'glance' WHEN milliseconds < 60000 THEN 'read' ELSE 'left open' END AS manner,
          count(*) AS views,
          count_if(page = 'post') AS of_posts,
          min(milliseconds) AS shortest, max(milliseconds) AS longest,
          stddev_samp(milliseconds) AS spread
   FROM page_views GROUP BY ALL;
