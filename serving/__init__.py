"""Serving: the merged answer, as a library and over HTTP."""
