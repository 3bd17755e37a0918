-- bool_and(BOOLEAN): BOOLEAN, exact
-- c BOOLEAN
partial  bool_and(x) FILTER (WHERE f)
merge    bool_and(c)
finalise c
own      bool_and(x) FILTER (WHERE f)
