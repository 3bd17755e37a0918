"""Contracts, views and the algebra of aggregates; the views of a lake, and what a user's project holds."""
