-- Views of each page on each kind of device, by the hour. A field of an object is reached with a dot.
CREATE MATERIALIZED VIEW page_activity
  TBLPROPERTIES ('owner' = 'web', 'description' = 'Page views by the hour, page and device')
AS SELECT time_bucket(INTERVAL '1 hour', happened) AS hour, page, device.type AS device,
          count(*) AS views,
          approx_count_distinct(member) AS viewers,
          sum(milliseconds) AS milliseconds,
          avg(milliseconds) / 1000 AS mean_seconds,
          max(milliseconds) AS longest,
          max_by(member, milliseconds) AS longest_by
   FROM page_views GROUP BY ALL;

-- The same by the day, over the view above: its partial rows are added up, viewers of several hours count once, and raw
-- is not read again.
CREATE MATERIALIZED VIEW page_days
  TBLPROPERTIES ('owner' = 'web', 'description' = 'Page views by the day and page')
AS SELECT time_bucket(INTERVAL '1 day', hour) AS day, page,
          MEASURE(views) AS views,
          MEASURE(viewers) AS viewers,
          MEASURE(mean_seconds) AS mean_seconds,
          MEASURE(milliseconds) / 3600000 AS hours,
          MEASURE(longest) AS longest
   FROM page_activity GROUP BY ALL;

-- How many users a day has, and how much they do. Distinct counts merge too: a user seen by both layers counts once.
-- `members` is the set itself, as a sketch: a query may ask who of one day came again on another.
CREATE MATERIALIZED VIEW daily_active_users
  TBLPROPERTIES ('owner' = 'web', 'description' = 'Who was there, by the day')
AS SELECT time_bucket(INTERVAL '1 day', happened) AS day,
          approx_count_distinct(member) AS users,
          approx_count_distinct(member) FILTER (WHERE device.type = 'phone') AS on_phones,
          count(*) / nullif(approx_count_distinct(member), 0) AS views_per_user,
          theta_sketch_agg(member) AS members
   FROM page_views GROUP BY day;

-- How long pages are open. Quantiles merge too, by a t-digest: the median of both layers is not the mean of their
-- medians.
CREATE MATERIALIZED VIEW reading_times
  TBLPROPERTIES ('owner' = 'web', 'description' = 'How long pages are open, by the day', 'speed.retention' = '2 days')
AS SELECT time_bucket(INTERVAL '1 day', happened) AS day, page,
          count(*) AS views,
          count_if(milliseconds < 2000) / nullif(count(*), 0) AS glances,
          approx_quantile(milliseconds, 0.5) AS half,
          approx_quantile(milliseconds, 0.95) AS nearly_all,
          stddev_samp(milliseconds) AS spread
   FROM page_views GROUP BY ALL;

-- What users do, by the hour and kind: three contracts in one view. Each branch says what its events are to the union,
-- keys and aggregates are written once, and a query need not add views up. Only posts have a length.
CREATE MATERIALIZED VIEW actions_by_hour
  TBLPROPERTIES ('owner' = 'web', 'description' = 'Posts, likes and follows by the hour and kind')
AS SELECT time_bucket(INTERVAL '1 hour', happened) AS hour, kind,
          count(*) AS actions,
          count(DISTINCT member) AS members,
          avg(length) AS mean_length,
          first(member) AS first_member
   FROM (SELECT happened, member, 'post' AS kind, length FROM posts
         UNION ALL BY NAME
         SELECT happened, member, 'like' AS kind FROM likes WHERE change = 1
         UNION ALL BY NAME
         SELECT happened, member, 'follow' AS kind FROM follows WHERE change = 1) AS done
   GROUP BY ALL;
