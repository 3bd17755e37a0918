"""How far something is, said by what does it to whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Advance(Protocol):
    """Says that `by` more is done, and perhaps a few words. May be called often: it draws at its own pace."""

    def __call__(self, by: float = 1, words: str = "") -> None: ...


def unseen(by: float = 1, words: str = "") -> None:
    """An Advance that shows nothing."""
