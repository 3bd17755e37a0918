"""PostgreSQL's wire protocol over what is served: docs/postgres.md and docs/adr/0045 describe it."""
