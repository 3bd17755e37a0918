-- What happens in each repository, by the hour.
CREATE MATERIALIZED VIEW repo_activity
  TBLPROPERTIES ('owner' = 'community', 'speed.retention' = '7 days')
AS SELECT time_bucket(INTERVAL '1 hour', dt) AS hour, repo, type,
          count(*) AS events, sum(commits) AS commits, avg(commits) AS mean_commits,
          min(dt) AS first_seen, max(dt) AS last_seen, approx_count_distinct(actor) AS actors
   FROM github_events WHERE type <> 'golem' GROUP BY ALL;
