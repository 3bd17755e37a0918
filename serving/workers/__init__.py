"""Processes that run users' SQL, one query at a time each, and can be killed."""
