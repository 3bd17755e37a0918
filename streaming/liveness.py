"""Whether the cluster answers: asked every other second, and told in the writer's lease while it does not.

A role that cannot reach Kafka keeps its claim and its Spark session and tries again, ever more slowly: what it has not
committed never happened, so there is nothing to lose by waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from seamline.errors import Condition, SeamlineError, TransientError
from seamline.streaming.kafka import Cluster

EVERY = 2.0
"""Seconds between two questions while all is well; each may take as long."""

LONGEST = 10.0
"""Seconds between two tries while nobody answers, at most: they double from 0.5."""

log = logging.getLogger(__name__)


class Pulse:
    """One cluster's pulse: `away` as last felt; `missed` whether it was away at all since the last `wait`.

    `address` says where the cluster is by now: an embedded broker may come back on another port.
    """

    def __init__(self, cluster: Cluster, address: Callable[[], str], tell: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.away = False
        self.missed = False
        self._address = address
        self._tell = tell
        self._asked = Cluster(cluster.bootstrap, cluster.options, patience=EVERY)
        self._next = 0.0

    def feel(self) -> bool:
        """Whether it answers, as asked now or a moment ago. Blocks for at most a few seconds."""
        if time.monotonic() >= self._next:
            self._ask()
            self._next = time.monotonic() + EVERY
        return not self.away

    def wait(self, stop: threading.Event) -> bool:
        """Returns once it answers; False where `stop` was set before."""
        pause = 0.5
        while not stop.is_set():
            self._ask()
            if not self.away:
                self.missed = False
                return True
            stop.wait(pause)
            pause = min(2 * pause, LONGEST)
        return False

    def close(self) -> None:
        """Drops the connection."""
        self._asked.close()

    def _ask(self) -> None:
        try:
            for one in (self.cluster, self._asked):
                one.move(self._address())
            self._asked.ping()
        except SeamlineError as error:
            if not is_outage(error):
                raise
            if not self.away:
                log.warning("waits: %s", error)
            self.away = self.missed = True
            self._tell(f"{error.condition}: {error.message}")
            return
        if self.away:
            log.warning("the cluster at %s answers again", self.cluster.bootstrap)
        self.away = False
        self._tell("")


def is_outage(error: SeamlineError) -> bool:
    """Whether all there is to do is to wait for the cluster."""
    return isinstance(error, TransientError) and error.condition is Condition.BROKER_UNAVAILABLE
