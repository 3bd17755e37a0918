"""PostgreSQL's wire protocol over what is served: docs/postgres.md describes it."""
