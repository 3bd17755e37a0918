"""The archive: every record ever read, filed in raw tables."""
