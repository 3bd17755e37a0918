-- How many people and repositories a day reaches, by who acts: a key may be any expression over fields.
CREATE MATERIALIZED VIEW daily_reach
  TBLPROPERTIES ('owner' = 'community')
AS SELECT date_trunc('day', dt) AS day,
          CASE WHEN type IN ('push', 'create', 'del', 'release') THEN 'code'
               WHEN type IN ('icomment', 'prcomment', 'ccomment') THEN 'talk'
               ELSE 'other' END AS activity,
          count(*) AS events,
          approx_count_distinct(actor) AS actors,
          approx_count_distinct(repo) AS repos,
          approx_count_distinct(concat_ws('/', actor, repo)) FILTER (WHERE type = 'push') AS pushers_of_repos
   FROM github_events GROUP BY ALL;
