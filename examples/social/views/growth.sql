-- Sign-ups by channel, and which share of them confirmed at once. The rate is computed after merging, so it is right
-- over both layers, and so is HAVING: a channel with fewer than three sign-ups on a day says nothing yet.
CREATE MATERIALIZED VIEW sign_ups_by_channel
  TBLPROPERTIES ('owner' = 'growth', 'description' = 'Sign-ups and how many confirm, by the day and channel')
AS SELECT time_bucket(INTERVAL '1 day', happened) AS day, channel,
          count(*) AS sign_ups,
          count_if(confirmed) AS confirmed,
          sum(confirmed::INTEGER) / nullif(count(*), 0) AS confirmed_rate,
          avg(age) AS mean_age,
          count(*) FILTER (WHERE age < 18) AS minors
   FROM sign_ups GROUP BY ALL HAVING count(*) >= 3;

-- Followers won and lost. Sums of +1 and -1 need no order: a follow may arrive after its own undoing.
CREATE MATERIALIZED VIEW follower_counts
  TBLPROPERTIES ('owner' = 'growth', 'description' = 'Followers won and lost, by the day and user',
                 'serving.sort' = 'member, day')
AS SELECT time_bucket(INTERVAL '1 day', happened) AS day, whom AS member,
          sum(change) AS net,
          count(*) FILTER (WHERE change = 1) AS won,
          count(*) FILTER (WHERE change = -1) AS lost,
          max(happened) AS last_change
   FROM follows GROUP BY ALL;
