"""Lookups without SQL: the rows of a key, from finished values that stand in memory in the order of their keys."""
