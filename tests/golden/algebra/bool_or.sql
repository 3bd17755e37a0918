-- bool_or(BOOLEAN): BOOLEAN, exact
-- c BOOLEAN
partial  bool_or(x) FILTER (WHERE f)
merge    bool_or(c)
finalise c
own      bool_or(x) FILTER (WHERE f)
