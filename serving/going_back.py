"""How far back a view can be asked: the first epoch from which on each can."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Set

from seamline.errors import SeamlineError
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.schemas.views.definition import Definition
from seamline.serving.chains import bases_of, chain_from, is_seam


class GoingBack:
    """`goes_back_to` of each view, found anew where what it follows from has changed.

    What changes, by `of` alone: what was found for each view, and from what.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[Hashable, int]] = {}

    def of(self, definition: Definition, states: ViewHistory, batch: BatchHistory, history: SpeedHistory) -> int | None:
        """The first epoch from which on each can be asked for; None where none can."""
        last, view = history.last_epoch, definition.view
        since = history.epochs.since(last) if last in history.epochs else None
        key = definition.hash, states.number, batch.number, since
        if view in self._found and self._found[view][0] == key:
            return self._found[view][1]
        found = goes_back_to(definition, states.stood(definition.hash), batch, history)
        if found is not None:
            self._found[view] = key, found
        return found


def goes_back_to(definition: Definition, stood: Set[int], batch: BatchHistory, history: SpeedHistory) -> int | None:
    """The first epoch from which on `past_chain` finds one for each; None where there is none.

    Takes time by the versions until one leads on, and for each by the segments that stand."""
    last = history.last_epoch
    if last not in history.epochs:
        return None
    standing = range(history.epochs.since(last), last + 1)
    for base in reversed(bases_of(definition, stood, batch, history)):
        passed = bisect_left(standing, True, key=lambda number: base.cut <= history.epochs[number].end)
        if passed == len(standing):
            return None
        try:
            chain_from(definition.view, definition.hash, base, history, history.epochs[standing[passed]].end)
        except SeamlineError as error:
            if not is_seam(error):
                raise
            continue
        return standing[passed]
    return None
