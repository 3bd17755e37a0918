-- Repositories by their events since a moment, the busiest first.
-- $since TIMESTAMPTZ = 2015-02-22
-- $least INTEGER = 10 -- so many events, or more
SELECT repo, sum(events) AS events, MEASURE(actors) AS actors
FROM repo_activity
WHERE hour >= $since
GROUP BY repo
HAVING sum(events) >= $least
ORDER BY events DESC, repo
