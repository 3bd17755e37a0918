"""Follows the ledger in a thread, so that what is served is never far from what is committed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from seamline.clock import Clock, system_clock
from seamline.config import Settings
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError
from seamline.lake import Lake
from seamline.serving.serving import Serving
from seamline.serving.snapshot import Snapshot

_log = logging.getLogger("seamline.serving")


@dataclass(frozen=True)
class Followed:
    """How far a follower has come."""

    serving: Serving | None = None
    """None until the first snapshot is made."""

    looked: datetime | None = None
    """When the ledger was looked at last without a failure."""

    failure: SeamlineError | None = None
    """What has kept the looks since then from it."""

    shown: Snapshot | None = None
    """The snapshot that those who answer were made ready for."""


class Follower:
    """Keeps one `Serving` up to date, in a thread. A look that fails leaves the snapshot before; /healthz tells.

    What other threads see changes as one value, at the end of each look.
    """

    def __init__(
        self,
        lake: Lake,
        settings: Settings,
        clock: Clock = system_clock,
        ready: Callable[[Serving], None] = Serving.prepare,
    ) -> None:
        """`ready`: makes those who answer ready for a new snapshot, before it counts as served."""
        self._open: Callable[[], Serving] = partial(Serving, lake, settings, clock)
        self._pause = settings.serving.pace(lake.uri).poll.total_seconds()
        self.clock = clock
        self._ready = ready
        self._most_lag = settings.serving.ready_lag_seconds
        self._stop = threading.Event()
        self._followed = Followed()
        self._thread = threading.Thread(target=self._run, name="follow-ledger", daemon=True)

    def start(self) -> None:
        """Starts to follow; the first snapshot is made in the thread too."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the look it is at."""
        self._stop.set()
        self._thread.join(timeout=10)
        if self._followed.serving is not None:
            self._followed.serving.close()

    @property
    def serving(self) -> Serving:
        """Raises VIEW_NOT_READY until the first snapshot is made, or what keeps it from being made."""
        followed = self._followed
        if followed.serving is None:
            raise followed.failure or TransientError(
                Condition.VIEW_NOT_READY, "the first snapshot is being loaded", hint="ask again in a moment"
            )
        return followed.serving

    def seen(self) -> tuple[Serving | None, datetime | None]:
        """What is served, and when the ledger was looked at last; None before the first time."""
        followed = self._followed
        return followed.serving, followed.looked

    def is_late(self, lag: float | None) -> bool:
        """Whether answers so many seconds old are too old to be sent clients for; where no bound is set, none are."""
        return bool(self._most_lag) and lag is not None and lag > self._most_lag

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status code and body of /healthz: ready once a snapshot is loaded."""
        followed = self._followed
        ready, looked = followed.serving is not None, followed.looked
        body: dict[str, Any] = {"ready": ready, "looked": looked.isoformat() if looked else None}
        if followed.failure is not None:
            body["failing"] = followed.failure.to_json()
        return (200 if ready else 503), body

    def _run(self) -> None:
        while not self._stop.is_set():
            self._followed = self._look(self._followed)
            self._stop.wait(self._pause)

    def _look(self, before: Followed) -> Followed:
        try:
            serving, shown = self._caught_up(before)
            return Followed(serving, self.clock(), None, shown)
        except SeamlineError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a thread that dies in silence would serve stale answers for ever
            failure = TerminalError(Condition.KERNEL_FAILED, f"{type(error).__name__}: {error}")
        if str(failure) != str(before.failure):
            _log.error("cannot follow the ledger: %s", failure)
        return replace(before, failure=failure)

    def _caught_up(self, before: Followed) -> tuple[Serving, Snapshot]:
        """Ready for queries over the newest snapshot; it is opened where there is none yet."""
        serving = before.serving
        if serving is None:
            serving = self._open()
        else:
            serving.catch_up()
        if serving.snapshot() is not before.shown:
            self._ready(serving)
        return serving, serving.snapshot()
