"""Seamline: a lambda architecture whose seam is a position in the log, so every answer is exact."""

__version__ = "0.1.0"
