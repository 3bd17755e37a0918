-- The pulse of each kind of event, by the minute: FILTER counts part of a group without another view.
CREATE MATERIALIZED VIEW type_minutes
  TBLPROPERTIES ('owner' = 'community', 'description' = 'Events of each type, by the minute')
AS SELECT time_bucket(INTERVAL '1 minute', dt) AS minute, type,
          count(*) AS events,
          count(*) FILTER (WHERE action = 'opened') AS opened,
          count(*) FILTER (WHERE action IN ('closed', 'merged')) AS closed,
          avg(date_diff('day', age, dt)) FILTER (WHERE age IS NOT NULL) AS mean_age_days,
          max(commits) AS largest_push
   FROM github_events GROUP BY minute, type;
