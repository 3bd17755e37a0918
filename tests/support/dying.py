"""A death at a commit point, in the process of a test."""

from __future__ import annotations

from collections.abc import Callable


class Death(BaseException):
    """Stands for SIGKILL: nothing handles it."""


def dies_at(point: str) -> Callable[[str], None]:
    """A hook for `hooked`: whoever reaches the point is dead."""

    def hook(reached: str) -> None:
        if reached == point:
            raise Death

    return hook
