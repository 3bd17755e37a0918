"""What the wire's tests share."""

from wire_fixtures import both

__all__ = ["both"]
