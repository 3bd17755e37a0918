"""The jobs that run by a schedule: what each is, and what became of it.

What became of them stands in the project's state folder, written by whoever ran one last: the scheduler of `seamline
up`, or an operator by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from seamline.clock import Clock
from seamline.entries.base import Value
from seamline.errors import Condition, UserError
from seamline.private import put_whole
from seamline.schemas.project import Project

FILE = "schedule.json"
"""In the state folder."""

RETAIN_EVERY, MEASURE_EVERY = timedelta(days=1), timedelta(hours=6)


@dataclass(frozen=True)
class JobKind:
    """A kind of job."""

    about: str
    every: Callable[[Project], timedelta]


JOBS: Mapping[str, JobKind] = {
    "refresh": JobKind(
        "a new batch version of each view that has anything new",
        lambda project: timedelta(minutes=project.settings.batch.refresh_minutes),
    ),
    "retain": JobKind("removal of what no served or restorable version needs", lambda project: RETAIN_EVERY),
    "measure": JobKind("a listing of the lake, for its metrics alone", lambda project: MEASURE_EVERY),
}
"""By name; whoever runs them has a function for each."""


class Ran(Value):
    """What became of a job when it ran last, and when it comes round again."""

    at: datetime
    seconds: float

    failed: tuple[str, ...] = ()
    """What failed in it, one line each."""

    failures: int = 0
    """So many times in a row it has failed."""

    next: datetime | None = None
    """None: whoever ran it does so once."""


class JobState(Value):
    """A job, and what became of it."""

    job: str
    about: str
    every_seconds: float
    last: Ran | None


class _Kept(Value):
    """What stands in the file."""

    ran: Mapping[str, Ran] = {}


def job_states(project: Project) -> list[JobState]:
    """Every job, as this machine has run it."""
    ran = _read(project.state / FILE)
    return [
        JobState(job=name, about=job.about, every_seconds=job.every(project).total_seconds(), last=ran.get(name))
        for name, job in JOBS.items()
    ]


def recorded(
    project: Project, name: str, duty: Callable[[], list[str]], following: Callable[[], datetime | None], now: Clock
) -> Ran:
    """Runs a job's duty, which says what failed, and keeps what became of it. `following`: when it comes round again.

    What the duty raises is kept too, and raised."""
    began, failed = now(), list[str]()
    try:
        failed += duty()
    except BaseException as error:
        failed.append(f"{type(error).__name__}: {error}".splitlines()[0])
        raise
    finally:
        before = _read(project.state / FILE).get(name)
        ran = Ran(
            at=began,
            seconds=round((now() - began).total_seconds(), 3),
            failed=tuple(failed),
            failures=(before.failures if before else 0) + 1 if failed else 0,
            next=following(),
        )
        _write(project.state / FILE, {name: ran})
    return ran


def job(name: str) -> JobKind:
    """Raises INPUT_INVALID with the jobs there are."""
    if name not in JOBS:
        raise UserError(
            Condition.INPUT_INVALID,
            f"no job is called {name!r}",
            detail=", ".join(JOBS),
            hint="'seamline schedule list' says what each does",
        )
    return JOBS[name]


def once() -> None:
    """When a job that an operator ran comes round again: nobody knows."""


def _read(file: Path) -> Mapping[str, Ran]:
    """What is kept; nothing where it is not there, or another release has written it."""
    try:
        return _Kept.model_validate_json(file.read_bytes()).ran
    except (OSError, ValueError):
        return {}


def _write(file: Path, ran: dict[str, Ran]) -> None:
    put_whole(file, _Kept(ran={**_read(file), **ran}).model_dump_json(indent=1))
