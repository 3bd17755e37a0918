-- max(BIGINT, 2): BIGINT[], exact
-- c BIGINT[]
partial  max(x, 2) FILTER (WHERE f AND (x) IS NOT NULL)
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)), 'DESC')[:2] END
finalise c

-- max(BIGINT): BIGINT, exact
-- c BIGINT
partial  max(x) FILTER (WHERE f)
merge    max(c)
finalise c
