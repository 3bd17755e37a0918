"""What is asked of a store, counted where the client is called: a listing is a request for each 1,000 objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import obstore
import pytest

PAGE = 1000


class Requests:
    """Counts every call that a process makes of its stores, by what is done and to which path or prefix."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        for name in ("get", "head", "put", "delete", "list_with_delimiter"):
            patch.setattr(obstore, name, self._counted(name, getattr(obstore, name)))
        patch.setattr(obstore, "list", self._paged(obstore.list))

    def of(self, work: Callable[[], Any]) -> list[tuple[str, str]]:
        """What a work asks."""
        before = len(self.made)
        work()
        return self.made[before:]

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(store: Any, path: Any = None, *given: Any, **named: Any) -> Any:
            self.made.append((name, str(named.get("prefix", path))))
            return call(store, *(() if path is None else (path,)), *given, **named)

        return counted

    def _paged(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def paged(store: Any, prefix: str) -> Iterator[Any]:
            items = [item for batch in call(store, prefix=prefix) for item in batch]
            self.made += [("list", prefix)] * max(1, -(-len(items) // PAGE))
            return iter([items])

        return paged
