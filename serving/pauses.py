"""Which views have a backfill that an operator has paused: what is at rest by somebody's word is not stuck."""

from __future__ import annotations

from collections.abc import Iterable

from seamline.hints import Moved
from seamline.history.backfills import BackfillHistory
from seamline.history.base import read_on
from seamline.lake import BACKFILLS, Lake
from seamline.ledger import newest


class Pauses:
    """Follows the backfill logs of a lake's views. What changes, by `catch_up` alone: the histories as followed."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._histories: dict[str, BackfillHistory] = {}

    def catch_up(self, moved: Moved, views: Iterable[str]) -> None:
        """Reads on in the logs that moved, of these views. Where all are looked at, one listing says which did: a
        request for each 1,000 entries."""
        sweep, known = moved.places is None, list[BackfillHistory]()
        stands = newest(self._lake.store, BACKFILLS) if sweep else {}
        for view in views:
            log, history = self._lake.backfill_log(view), self._histories.get(view)
            if log.name not in (stands if sweep else moved):
                continue
            if history is None:
                self._histories[view] = BackfillHistory(log)
            elif not sweep or stands[log.name] > history.number:
                known.append(history)
        read_on(known, beyond=sweep)

    def __contains__(self, view: str) -> bool:
        history = self._histories.get(view)
        return history is not None and any(one.paused for one in history.open.values())
