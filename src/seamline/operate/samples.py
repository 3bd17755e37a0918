"""What the pages of the scheduler and of `seamline up` say: the duties that are due, and the roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seamline.clock import Clock, system_clock
from seamline.machine.broker import Broker
from seamline.machine.supervisor import RoleState, State
from seamline.observe.meters import METERS, Figure


@dataclass(frozen=True)
class Duty:
    """What the scheduler does again and again."""

    name: str

    do: Callable[[], bool]
    """Whether it was done without a failure."""

    every: timedelta

    first: datetime
    """When it is due first."""


@dataclass(frozen=True)
class Areas:
    """Objects and bytes of a lake, by what they are for."""

    at: datetime
    """When it was listed."""

    of: Mapping[str, tuple[int, int]]


class DutyEnds:
    """When each duty last ended, in this process. `run` alone changes it, one duty at a time."""

    def __init__(self, since: datetime, clock: Clock = system_clock) -> None:
        self._ended: dict[str, datetime] = {}
        self._since = since
        self._clock = clock

    def run(self, duty: Duty) -> None:
        """Runs a duty, and notes its end whatever comes of it."""
        outcome = "failed"
        try:
            outcome = "ok" if duty.do() else "failed"
        finally:
            METERS.count("seamline_duty_runs_total", duty=duty.name, outcome=outcome)
            self._ended[duty.name] = self._clock()

    def of(self, name: str) -> datetime:
        """When a duty last ended; before that, when all of them began."""
        return self._ended.get(name, self._since)


def scheduler_samples(
    duties: Iterable[Duty], ends: DutyEnds, due: Callable[[str], Any], areas: Areas | None
) -> Iterator[Figure]:
    """`due` gives APScheduler's job of a name, or None."""
    for duty in duties:
        labels, scheduled = {"duty": duty.name}, due(duty.name)
        yield Figure("seamline_duty_ended_timestamp_seconds", ends.of(duty.name).timestamp(), labels)
        yield Figure("seamline_duty_interval_seconds", duty.every.total_seconds(), labels)
        if scheduled is not None and scheduled.next_run_time is not None:
            yield Figure("seamline_duty_next_timestamp_seconds", scheduled.next_run_time.timestamp(), labels)
    if areas is not None:
        yield Figure("seamline_lake_sampled_timestamp_seconds", areas.at.timestamp())
        for area, (objects, bytes_) in sorted(areas.of.items()):
            yield Figure("seamline_lake_objects", objects, {"area": area})
            yield Figure("seamline_lake_bytes", bytes_, {"area": area})


def stack_samples(roles: Mapping[str, RoleState], broker: Broker | None) -> Iterator[Figure]:
    """The roles as last seen, and the embedded broker where there is one."""
    for name, state in sorted(roles.items()):
        yield Figure("seamline_role_running", float(state.state is State.RUNNING), {"role": name})
        yield Figure("seamline_role_restarts_total", state.restarts, {"role": name})
    if broker is not None:
        yield Figure("seamline_broker_running", float(broker.is_running()))
