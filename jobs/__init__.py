"""Batch: what recomputes views from the archive."""
