"""The fixture of tests/wire."""

from wire_fixtures import both

__all__ = ["both"]
