-- Likes of each post, by the hour. `likes` is what is left after those taken back. Rows are stored by post, so that a
-- query for one post reads little.
CREATE MATERIALIZED VIEW post_likes
  TBLPROPERTIES ('owner' = 'content', 'description' = 'Likes by the hour and post', 'serving.sort' = 'post, hour')
AS SELECT time_bucket(INTERVAL '1 hour', happened) AS hour, post, author,
          sum(change) AS likes,
          approx_count_distinct(member) AS fans,
          min(happened) AS first_like,
          bool_or(member = author) AS liked_by_author
   FROM likes GROUP BY ALL;

-- The posts liked most on a day, and whose posts are. Likes as they were given: none is taken off that was taken back.
CREATE MATERIALIZED VIEW most_liked
  TBLPROPERTIES ('owner' = 'content', 'description' = 'The most liked posts of each day')
AS SELECT time_bucket(INTERVAL '1 day', happened) AS day,
          approx_top_k(post, 5) AS posts,
          mode(author) AS author,
          count(DISTINCT post) AS posts_liked
   FROM likes WHERE change = 1 GROUP BY ALL;

-- What is written. An array's length and elements are expressions like any other.
CREATE MATERIALIZED VIEW posts_by_hour
  TBLPROPERTIES ('owner' = 'content', 'description' = 'Posts by the hour and audience')
AS SELECT time_bucket(INTERVAL '1 hour', happened) AS hour, audience.who AS audience,
          count(*) AS posts,
          count(*) FILTER (WHERE list_contains(tags, 'cats')) AS of_cats,
          sum(len(tags)) AS tags,
          count_if(len(tags) = 0) / nullif(count(*), 0) AS untagged_share,
          avg(length) AS mean_length,
          max(audience.circle) AS widest_circle
   FROM posts GROUP BY ALL;

-- What is written about: a post counts once for each of its tags. Weeks begin on Monday in the readers' own time zone,
-- however long its days are.
CREATE MATERIALIZED VIEW tags_by_week
  TBLPROPERTIES ('owner' = 'content', 'description' = 'Posts by the week in Helsinki and tag')
AS SELECT time_bucket(INTERVAL '7 days', happened, 'Europe/Helsinki') AS week, unnest(tags) AS tag,
          count(*) AS posts,
          approx_count_distinct(member) AS authors,
          avg(length) AS mean_length
   FROM posts GROUP BY ALL;
