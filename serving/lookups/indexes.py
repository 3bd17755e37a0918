"""The indexes of the views that lookups ask for, kept at the newest snapshot by a thread of their own.

A view has none until it is first asked for: until then, and where it does not suit or is too large, SQL answers. What
an index costs so follows what is asked: each view once, and then the rows that epochs bring.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from seamline.errors import SeamlineError, TransientError
from seamline.observe.meters import METERS, Figure
from seamline.serving.bounds import BatchFiles
from seamline.serving.lookups.indexed import ViewIndex, advanced, built, suits
from seamline.serving.lookups.rowsbody import IndexedAnswers
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView, Snapshot

PATIENCE = 5.0
"""Seconds that an index may be behind the newest snapshot; then SQL answers until it has caught up."""

_log = logging.getLogger("seamline.serving")


class Lookups:
    """Indexes by view. `find` is for any thread; `catch_up` for one at a time.

    What changes: the views that were asked for, the indexes, as one value at the end of each step, and since when they
    are behind.
    """

    def __init__(self, serving: Callable[[], Serving], room: int, now: Callable[[], float] = time.monotonic) -> None:
        """`serving`: what is served now; it raises where nothing is. `room`: bytes of all indexes."""
        self._serving = serving
        self._room = room
        self._now = now
        self._indexes: Mapping[str, IndexedAnswers] = {}
        self._asked: set[str] = set()
        self._refused: dict[str, Hashable] = {}
        self._behind_since: float | None = None
        self._news = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="lookups", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        if self._room:
            self._thread.start()

    def stop(self) -> None:
        """Ends, after the index it is at."""
        self._ended = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def after(self, ready: Callable[[Serving], None]) -> Callable[[Serving], None]:
        """What makes others ready for a snapshot, and then has this follow."""

        def both(serving: Serving) -> None:
            ready(serving)
            self.follow()

        return both

    def follow(self) -> None:
        """There is a newer snapshot, or another view is asked for."""
        if self._behind_since is None:
            self._behind_since = self._now()
        self._news.set()

    def find(self, view: str, newest: ServedView) -> IndexedAnswers | None:
        """A view's index, where it has one that may answer now. One that it has not is begun."""
        if not self._room:
            return None
        answers = self._indexes.get(view)
        if answers is None:
            if view not in self._asked:
                self._asked.add(view)
                self.follow()
            return None
        served = answers.index.served
        if served is newest:
            return answers
        same = served.definition.hash == newest.definition.hash and served.erased == newest.erased
        behind = self._behind_since
        return answers if same and (behind is None or self._now() - behind < PATIENCE) else None

    @property
    def held(self) -> Mapping[str, ViewIndex]:
        """The indexes that there are."""
        return {view: one.index for view, one in self._indexes.items()}

    def samples(self) -> Iterator[Figure]:
        """What they take."""
        for view, index in self.held.items():
            yield Figure("seamline_lookup_index_bytes", float(index.size), {"view": view})

    def catch_up(self) -> None:
        """Brings every index that was asked for to the newest snapshot: first those that go on, then one by one those
        that are made anew, looking for a newer snapshot between them."""
        while not self._ended:
            self._news.clear()
            serving = self._serving()
            anew = self._advance(serving, serving.snapshot())
            if not anew and not self._news.is_set():
                self._behind_since = None
                return
            if anew and not self._ended:
                self._build(serving, serving.snapshot(), anew[0])

    def _advance(self, serving: Serving, snapshot: Snapshot) -> list[str]:
        """The views that need an index made anew, those of fewest rows first."""
        anew = list[tuple[int, str]]()
        for view in sorted(self._asked):
            served = snapshot.views.get(view)
            if not isinstance(served, ServedView) or not suits(served):
                self._keep(view, None)
                continue
            index = self.held.get(view)
            if index is not None and index.served is not served:
                self._try(view, partial(advanced, serving, index, served, self._left(view)), kind="epoch")
                index = self.held.get(view)
            if index is None and self._refused.get(view) not in (_origin(served), id(served)):
                anew.append((_rows(served), view))
        return [view for _, view in sorted(anew)]

    def _build(self, serving: Serving, snapshot: Snapshot, view: str) -> None:
        served = snapshot.views.get(view)
        if not isinstance(served, ServedView):
            return
        passing = self._try(view, partial(built, serving, served, self._left(view)), kind="whole")
        if view in self._indexes:
            self._refused.pop(view, None)
        else:  # not again with each epoch: what is too large for one is so for the next
            self._refused[view] = id(served) if passing else _origin(served)

    def _try(self, view: str, made: Callable[[], ViewIndex | None], kind: str) -> bool:
        """Keeps what is made; whether what kept it from being made may pass."""
        began, passing = time.perf_counter(), False
        try:
            self._keep(view, made())
        except SeamlineError as error:
            _log.warning("no index of view %s for lookups: %s", view, error)
            self._keep(view, None)
            passing = isinstance(error, TransientError)
        METERS.took("seamline_lookup_index_duration_seconds", time.perf_counter() - began, kind=kind)
        return passing

    def _keep(self, view: str, index: ViewIndex | None) -> None:
        others = {name: one for name, one in self._indexes.items() if name != view}
        self._indexes = others if index is None else {**others, view: IndexedAnswers(index)}

    def _left(self, view: str) -> int:
        return self._room - sum(one.size for name, one in self.held.items() if name != view)

    def _run(self) -> None:
        while not self._ended:
            self._news.wait()
            with suppress(SeamlineError):  # nothing is served yet: the next look tells again
                self._guarded()

    def _guarded(self) -> None:
        try:
            self.catch_up()
        except SeamlineError:
            raise
        except Exception:  # noqa: BLE001 - SQL answers from here on, and the log says why
            _log.exception("lookups have no indexes any more")
            self._indexes = {}
            self._ended = True


def _origin(served: ServedView) -> Hashable:
    return served.definition.hash, served.base.version, str(served.base.cut)


def _rows(served: ServedView) -> int:
    batch = served.batch
    rows = sum(batch.rows) if isinstance(batch, BatchFiles) else batch.num_rows if batch is not None else 0
    return rows + (served.speed.num_rows if served.speed is not None else 0)
