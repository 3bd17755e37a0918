"""How long a piece of work takes, and each of its steps: noted in its histograms, and in its trace.

A work `epoch` has the histograms `seamline_epoch_duration_seconds` and `seamline_epoch_step_duration_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bound_contextvars

from seamline.errors import Condition, SeamlineError
from seamline.observe.meters import METERS
from seamline.observe.traces import TRACES, Attributes

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
def timed(work: str, about: Attributes | None = None, **labels: str) -> Iterator[Work]:
    """A whole piece of work. Where it raises, the outcome is the error's condition.

    `about`: what is said of it beside its labels in its trace and in all that it logs: more than a metric may have
    values of.
    """
    began, under_way = time.perf_counter(), Work()
    said: dict[str, str | int] = {**labels, **(about or {})}
    with TRACES.span(work, said) as span:
        failed = True
        try:
            with bound_contextvars(**said):
                yield under_way
            failed = False
        except Exception as error:
            under_way.comes_to(error.condition if isinstance(error, SeamlineError) else Condition.UNEXPECTED)
            raise
        finally:
            seconds, outcome = time.perf_counter() - began, str(under_way.outcome)
            METERS.took(f"seamline_{work}_duration_seconds", seconds, **labels, outcome=outcome)
            span.ends(outcome, failed=failed)


@contextmanager
def step(work: str, name: str, **labels: str) -> Iterator[None]:
    """One step of it, whatever comes of it."""
    began = time.perf_counter()
    with TRACES.span(f"{work}.{name}", {}, inside=True):
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            METERS.took(f"seamline_{work}_step_duration_seconds", seconds, **labels, step=name)
