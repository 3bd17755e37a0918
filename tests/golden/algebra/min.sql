-- min(BIGINT, 2): BIGINT[], exact
-- c BIGINT[]
partial  min(x, 2) FILTER (WHERE f AND (x) IS NOT NULL)
merge    CASE WHEN count(c) < 2 THEN any_value(c) ELSE list_sort(flatten(list(c)))[:2] END
finalise c

-- min(BIGINT): BIGINT, exact
-- c BIGINT
partial  min(x) FILTER (WHERE f)
merge    min(c)
finalise c
