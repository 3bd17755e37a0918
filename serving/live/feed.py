"""One question that is followed: looked at once for each epoch, however many follow it, and no faster than they read.

Who follows it holds a place in it and asks for what comes after: nothing is queued for anybody. Who comes back late is
told all that has changed since as one event, or the whole answer where that is not kept any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from seamline.errors import SeamlineError
from seamline.observe.meters import METERS
from seamline.serving.asking import Ask, Asker
from seamline.serving.encode import before_provenance
from seamline.serving.live.changing import Changing
from seamline.serving.live.updates import ChangedRows, LiveEvent, LiveKind, LiveMark, as_json, digest, failed, standing
from seamline.serving.provenance import Provenances
from seamline.serving.snapshot import ServedView, Snapshot

_log = logging.getLogger("seamline.serving")

KEPT = 64
KEPT_ROWS = 20_000
"""ChangedRows that are kept for those who are late: so many, of so many rows in all."""

SeenViews = tuple[ServedView | SeamlineError, ...]
"""What a question's views are at one moment."""


@dataclass(frozen=True)
class Followable:
    """What is followed. Equal ones are looked at once."""

    ask: Ask
    """In the format json. Who asks it counts by what they may see alone."""

    view: str = ""
    """The view whose changes are told, and of which `ask` is all; '': the answer is told."""

    @property
    def scope(self) -> str:
        """What two who are told the same have in common."""
        caller, given = self.ask.caller, self.ask.parameters
        seen = (caller.views and sorted(caller.views), caller.rows, self.ask.max_rows, self.ask.seconds)
        return repr((self.view, self.ask.sql, given, seen))


@dataclass
class ReadTo:
    """How far somebody has read."""

    number: int | None = None
    """Of the feed's states; None before the first."""

    mark: LiveMark | None = None
    """What they have; at first what they say that they have."""

    def moved(self, number: int, mark: LiveMark | None = None) -> None:
        """To another state; `mark`: of what was told with it."""
        self.number, self.mark = number, mark or self.mark


@dataclass(frozen=True)
class _Whole:
    number: int
    mark: LiveMark
    body: bytes
    provenance: bytes


class Feed:
    """One question's states, by number, and what changed between the newest of them. It belongs to one event loop."""

    def __init__(self, what: Followable, asker: Asker, changing: Changing, news: Callable[[], asyncio.Event]) -> None:
        """`news`: an event that is set with the next snapshot."""
        self.what = what
        self.followers = 0
        self._asker = asker
        self._changing = changing
        self._news = news
        self._views: tuple[str, ...] | None = (what.view,) if what.view else None
        self._seen: SeenViews | None = None
        self._number = 0
        self._steps: deque[ChangedRows] = deque()
        self._looking = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._whole: _Whole | None = None

    def enter(self) -> None:
        """One more follows it."""
        self.followers += 1

    def leave(self) -> None:
        """One fewer."""
        self.followers -= 1

    async def after(self, place: ReadTo) -> LiveEvent:
        """What comes after a place, which moves on. Waits for it. Raises what the first answer fails with."""
        while True:
            news = self._news()
            if (event := await self.now(place)) is not None:
                return event
            await news.wait()

    async def now(self, place: ReadTo) -> LiveEvent | None:
        """What comes after a place, if anything has. Raises as `after`."""
        await self._look()
        return await self._event(place)

    async def _event(self, place: ReadTo) -> LiveEvent | None:
        first = place.number is None
        if place.number == self._number:
            return None
        try:
            for error in self._errors():
                raise error
            steps = await self._steps_after(place)
            return await self._all(place) if steps is None else self._told(place, steps)
        except SeamlineError as error:
            if first:
                raise
            place.moved(self._number)
            return failed(error)

    def _errors(self) -> list[SeamlineError]:
        return [one for one in self._seen or () if isinstance(one, SeamlineError)]

    # looking

    async def _look(self) -> None:
        """Takes in the newest snapshot: a new state, where the views are others, and what changed to it."""
        async with self._looking:
            now = self._now()
            if now is None or (self._seen is not None and _same(self._seen, now)):
                return
            step = await self._step(self._seen, now)
            self._seen, self._number = now, self._number + 1
            if step is None:
                self._steps.clear()
            else:
                self._steps.append(step)
                while len(self._steps) > KEPT or sum(one.size for one in self._steps) > KEPT_ROWS:
                    self._steps.popleft()

    def _now(self) -> SeenViews | None:
        """None before it is known which views are asked."""
        if self._views is None:
            return None
        snapshot = self._asker.snapshot(self.what.ask.caller)
        return tuple(_view(snapshot, name) for name in self._views)

    async def _step(self, before: SeenViews | None, now: SeenViews) -> ChangedRows | None:
        if not self.what.view or before is None:
            return None
        (old,), (new,) = before, now
        if isinstance(old, SeamlineError) or isinstance(new, SeamlineError):
            return None
        METERS.count("seamline_live_evaluations_total", kind="changes")
        try:
            return await self._changing.between(old, new)
        except SeamlineError as error:  # all of it is told then, or why it cannot be
            _log.warning("what changed in %s cannot be told: %s", self.what.view, error)
            return None

    # telling

    async def _steps_after(self, place: ReadTo) -> list[ChangedRows] | None:
        """What changed after a place; None where all has to be told."""
        if place.number is None:
            return await self._since(place.mark)
        late = self._number - place.number
        return list(self._steps)[-late:] if late <= len(self._steps) else None

    async def _since(self, mark: LiveMark | None) -> list[ChangedRows] | None:
        """What changed since an event that somebody had before they came."""
        if mark is None or not self.what.view or self._seen is None:
            return None
        (view,) = self._seen
        if not isinstance(view, ServedView) or mark.of != standing(view) or mark.epoch > view.epoch:
            return None
        METERS.count("seamline_live_evaluations_total", kind="since")
        found = await self._changing.since(mark.epoch, view)
        return None if found is None else [found]

    def _told(self, place: ReadTo, steps: list[ChangedRows]) -> LiveEvent:
        """ChangedRows of a view, as one event."""
        assert self._seen is not None
        (view,) = self._seen
        assert isinstance(view, ServedView)
        found = steps[0]
        for later in steps[1:]:
            found = later.after(found)
        mark = LiveMark(view.epoch, standing(view))
        place.moved(self._number, mark)
        proof = Provenances({self.what.view: view.provenance(self._changing.now())}).to_json()
        said = {"epoch": view.epoch, **found.to_json(), "provenance": proof}
        return LiveEvent(LiveKind.CHANGES, as_json(said), mark)

    async def _all(self, place: ReadTo) -> LiveEvent:
        whole = await self._newest()
        same = not self.what.view and place.mark is not None and place.mark.of == whole.mark.of
        place.moved(whole.number, whole.mark)
        epoch = f'{{"epoch": {whole.mark.epoch}, '.encode()
        if same:
            return LiveEvent(LiveKind.SAME, epoch + b'"provenance": ' + whole.provenance + b"}", whole.mark)
        return LiveEvent(LiveKind.ANSWER, epoch + whole.body[1:], whole.mark)

    async def _newest(self) -> _Whole:
        """The whole answer, asked once for each state."""
        async with self._asking:
            if self._whole is None or self._whole.number != self._number:
                self._whole = await self._asked()
            return self._whole

    async def _asked(self) -> _Whole:
        METERS.count("seamline_live_evaluations_total", kind="answer")
        number, before = self._number, self._asker.snapshot(self.what.ask.caller)
        reply = await self._asker.ask(self.what.ask)
        try:
            body = b"".join([chunk async for chunk in reply.chunks])
        finally:
            await reply.aclose()
        if self._views is None:  # nothing was looked at yet
            self._views = tuple(reply.provenance)
            self._seen, self._number = tuple(_view(before, name) for name in self._views), number + 1
            number = self._number
        proof = as_json(reply.provenance)
        return _Whole(number, self._mark_of(before, body), body, proof)

    def _mark_of(self, before: Snapshot, body: bytes) -> LiveMark:
        views = [one for name in self._views or () if isinstance(one := _view(before, name), ServedView)]
        epoch = max((one.epoch for one in views), default=0)
        return LiveMark(epoch, standing(views[0]) if self.what.view and views else digest(before_provenance(body)))


def _view(snapshot: Snapshot, name: str) -> ServedView | SeamlineError:
    try:
        return snapshot.view(name)
    except SeamlineError as error:
        return error


def _same(before: SeenViews, now: SeenViews) -> bool:
    """Whether two moments answer alike."""
    return [_mark(one) for one in before] == [_mark(one) for one in now]


def _mark(one: ServedView | SeamlineError) -> str:
    return one.mark if isinstance(one, ServedView) else str(one)
