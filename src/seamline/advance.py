"""How far something is, and what goes on, said by what does it to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Say = Callable[[str], None]
"""Takes a line about what goes on."""


class Advance(Protocol):
    """Says that `by` more is done, and perhaps a few words. May be called often: it draws at its own pace."""

    def __call__(self, by: float = 1, words: str = "") -> None: ...


class Show(Protocol):
    """Shows that `what` goes on until the block ends, out of `total` (in the unit of `by`) where that is known."""

    def __call__(self, what: str, total: float | None = None) -> AbstractContextManager[Advance]: ...


def unseen(by: float = 1, words: str = "") -> None:
    """An Advance that shows nothing."""


@contextmanager
def unshown(what: str, total: float | None = None) -> Iterator[Advance]:
    """A Show that shows nothing."""
    yield unseen


def unsaid(text: str) -> None:
    """A Say that says nothing."""
