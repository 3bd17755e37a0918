"""How long a piece of work takes, and each of its steps: noted in its histograms.

A work `epoch` has the histograms `seamline_epoch_duration_seconds` and `seamline_epoch_step_duration_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from structlog.contextvars import bound_contextvars

from seamline.errors import Condition, SeamlineError
from seamline.observe.meters import METERS

saying = bound_contextvars
"""Around work: what all that it logs is about."""

OK, EMPTY = "ok", "empty"


class Work:
    """A piece of work that is under way."""

    def __init__(self) -> None:
        self.outcome = OK

    def comes_to(self, outcome: str) -> None:
        """Says what it comes to, where that is not OK."""
        self.outcome = outcome


@contextmanager
def timed(work: str, about: Mapping[str, str | int] | None = None, **labels: str) -> Iterator[Work]:
    """A whole piece of work. Where it raises, the outcome is the error's condition.

    `about`: what is said of it beside its labels in all that it logs: more than a metric may have values of.
    """
    began, under_way = time.perf_counter(), Work()
    try:
        with bound_contextvars(**labels, **(about or {})):
            yield under_way
    except Exception as error:
        under_way.comes_to(error.condition if isinstance(error, SeamlineError) else Condition.UNEXPECTED)
        raise
    finally:
        METERS.took(
            f"seamline_{work}_duration_seconds", time.perf_counter() - began, **labels, outcome=str(under_way.outcome)
        )


@contextmanager
def step(work: str, name: str, **labels: str) -> Iterator[None]:
    """One step of it, whatever comes of it."""
    began = time.perf_counter()
    try:
        yield
    finally:
        METERS.took(f"seamline_{work}_step_duration_seconds", time.perf_counter() - began, **labels, step=name)
