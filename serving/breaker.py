"""While the store stays away it is asked now and then, by one; nobody else waits for it in vain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from circuitbreaker import CircuitBreaker

from seamline.errors import Condition, TransientError

FAILURES = 2
"""In a row. Each came after many tries (`objects`)."""

PAUSE_SECONDS = 2
"""Until it is asked again."""

_Given = TypeVar("_Given")


class StoreBreaker:
    """Lets calls to the store through until FAILURES of them in a row found it away; then one each PAUSE_SECONDS.

    One thread calls at a time.
    """

    def __init__(self) -> None:
        self._breaker = CircuitBreaker(FAILURES, PAUSE_SECONDS, _is_away, "store")

    def call(self, work: Callable[[], _Given]) -> _Given:
        """What the work gives, which asks the store. Raises what it raises, and as `check`."""
        self.check()
        given: _Given = self._breaker.call(work)
        return given

    def check(self) -> None:
        """Raises STORE_UNAVAILABLE as the last call did, where none is let through now. For work that may do without
        the store, which so tells nothing of it."""
        failure = self._breaker.last_failure
        if self._breaker.opened and isinstance(failure, TransientError):
            raise failure.but()


def _is_away(_: type[BaseException], error: BaseException) -> bool:
    return isinstance(error, TransientError) and error.condition is Condition.STORE_UNAVAILABLE
