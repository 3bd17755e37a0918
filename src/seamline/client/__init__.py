"""Seamline from Python: `seamline.connect`, to a project's folder or to a serving role. docs/python.md shows it."""
