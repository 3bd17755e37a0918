SELECT
  TRY(time_bucket(interval '1 month', events."placed", 'America/New_York')) AS "month",
  TRY(time_bucket(interval '2 weeks', events."placed", 'Asia/Seoul')) AS "weeks",
  TRY(date_trunc('quarter', events."placed")) AS "quarter",
  TRY((events."placed" at time zone 'Australia/Lord_Howe')::date) AS "date",
  count(*) AS "n",
  count(*) AS "_events"
FROM events
GROUP BY ALL
