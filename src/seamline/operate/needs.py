"""What of a project needs an operator's eye, and the command that helps: decided from its status alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from seamline.entries.base import Counts
from seamline.machine.supervisor import RoleState, State
from seamline.operate.backfill import UnderWay
from seamline.operate.keeping import TooShort
from seamline.schemas.service_levels import ServiceLevel
from seamline.serving.status import Status, StreamStatus, ViewStatus
from seamline.wording import duration

BEHIND_SECONDS = 60.0
"""The newest record read is so old while more wait: a stream that keeps up is not."""

REJECTED_SHARE = 0.01
"""Of the newest records, from which on rejects are told; and only if they are twice as many as before."""


@dataclass(frozen=True)
class Need:
    """One thing that needs attention."""

    about: str
    """What it is about: `view sales`, `stream main`, `role speed`."""

    fault: bool
    """Whether something is wrong; else something waits, or an operator holds it."""

    found: str
    help: str
    """The command that helps, or shows more."""


def needs(
    lake: Status,
    roles: Sequence[RoleState],
    backfills: Iterable[UnderWay],
    waiting: Mapping[str, str],
    archive_portion: int,
    promises: Iterable[ServiceLevel] = (),
    short: Iterable[TooShort] = (),
) -> list[Need]:
    """All there is, faults first. `waiting`: by view, why its newest definition is not served yet; `archive_portion`:
    the offsets that one append takes; `promises`: those made of the data, and how it is;
    `short`: topics that may lose records before they are archived. Pure."""
    found: list[Need] = [*_roles(roles)]
    for stream in lake.streams.values():
        found += [*_stream(stream, archive_portion), *_rejects(stream)]
    begun = any(stream.last_epoch for stream in lake.streams.values())
    for view in lake.views.values():
        found += _view(view, lake.streams.get(view.stream), begun)
    found += (_promised(one) for one in promises if one.missed)
    found += map(_short, short)
    found += (_waits(view, why, roles) for view, why in sorted(waiting.items()))
    found += (need for one in backfills for need in _backfill(one))
    return sorted(found, key=lambda need: not need.fault)


def _roles(roles: Sequence[RoleState]) -> Iterator[Need]:
    if roles and all(role.state is State.STOPPED for role in roles):
        yield Need("roles", False, "none runs on this machine", "seamline up")
        return
    for role in roles:
        more = f"tail {role.log}" if role.log else "seamline up"
        if role.state is State.FAILED:
            yield Need(f"role {role.role}", True, f"is down: {role.reason}", more)
        elif role.state is State.STOPPED:
            yield Need(f"role {role.role}", True, f"is down{f': {role.reason}' if role.reason else ''}", more)
        elif role.state is State.WAITING:
            yield Need(f"role {role.role}", True, f"died and is started again: {role.reason}", more)


def _stream(stream: StreamStatus, archive_portion: int) -> Iterator[Need]:
    about = f"stream {stream.name}"
    if not stream.balanced:
        yield Need(about, True, "law 3 does not hold: records are lost or counted twice", "seamline status --counts")
    for name, lease in sorted(stream.writers.items()):
        if lease.waits:
            yield Need(about, True, f"its {name} layer waits: {lease.waits}", "seamline doctor")
    for name, behind in (("speed", stream.lag_records), ("archive", stream.archive_lag_records)):
        if name not in stream.writers and behind:
            yield Need(about, True, f"{behind} records wait and no {name} layer reads them", "seamline up")
    late = stream.waiting_seconds or 0.0
    if "speed" in stream.writers and late > BEHIND_SECONDS:
        yield Need(about, True, f"is behind by {stream.lag_records} records and {duration(late)}", "seamline doctor")
    if "archive" in stream.writers and stream.archive_lag_records > archive_portion:
        found = f"its archive is behind by {stream.archive_lag_records} records: batch versions end there"
        yield Need(about, True, found, "seamline doctor")


def _rejects(stream: StreamStatus) -> Iterator[Need]:
    """A producer that has begun to send what its contract does not accept."""
    for contract, newest in sorted(stream.recent.items()):
        before = stream.counts.get(contract, Counts()) - newest
        share = _share(newest)
        if contract and share >= REJECTED_SHARE and share > 2 * _share(before):
            was = f", {_share(before):.1%} before" if before.read else ""
            found = f"{newest.rejected} of its newest {newest.read} records were rejected ({share:.1%}{was})"
            yield Need(f"contract {contract}", True, found, f"seamline quarantine show {contract}")


def _share(counts: Counts) -> float:
    return counts.rejected / counts.read if counts.read else 0.0


def _view(view: ViewStatus, stream: StreamStatus | None, begun: bool) -> Iterator[Need]:
    about, drift = f"view {view.name}", view.drift
    if view.state not in ("ready", "dropped"):
        yield Need(about, True, f"{view.state}: {view.why.removeprefix(f'{about}: ')}", _mend(view, begun))
    elif stream is not None and not stream.last_epoch and view.version is None:
        yield Need(
            about, False, "no record of its stream was read yet: it answers with no rows", "seamline topics list"
        )
    if drift == "wrong":
        found = f"version {view.version} is served, and another evaluator computes it otherwise ({_columns(view)})"
        yield Need(about, True, found, f"seamline verify {view.name}")
    elif drift == "drift":
        found = f"version {view.version} differs from what was served before it ({_columns(view)})"
        yield Need(about, True, found, f"seamline verify {view.name}")
    if view.held is not None:
        found = f"version {view.held} is held for what its audit found; {view.version or 'none'} is served"
        yield Need(about, True, found, f"seamline views rollback {view.name} --version {view.held}")
    if view.pinned:
        found = f"is pinned at version {view.version or 'none'}: no run publishes"
        yield Need(about, False, found, f"seamline views unpin {view.name}")


def _mend(view: ViewStatus, begun: bool) -> str:
    """The command for a view that cannot answer; `begun`: a stream was read already."""
    if view.state not in ("not ready", "hole"):
        return f"seamline views show {view.name}"
    return f"seamline batch refresh {view.name}" if begun else "seamline up"


def _columns(view: ViewStatus) -> str:
    audit = view.audit
    of = (audit.wrong or audit.drift) if audit else ()
    return "; ".join(f"{one.column}: {one.groups} groups" for one in of)


def _promised(one: ServiceLevel) -> Need:
    """A service level that is missed."""
    said, by = one.promise.said, "" if one.promise.by == one.product else f" ({one.promise.by} says it)"
    if one.promise.kind == "freshness":
        found = f"promises to be fresh within {said}{by}, and is behind by {duration(one.found or 0.0)}"
        return Need(one.product, True, found, "seamline doctor")
    found = f"promises that {said} of its records are valid{by}, and {one.found:.2%} are"
    return Need(one.product, True, found, "seamline quarantine list")


def _short(one: TooShort) -> Need:
    """A topic that keeps its records for too short a time."""
    if one.stood is not None:
        found = f"keeps records for {duration(one.seconds)}, and the archive has filed none for {duration(one.stood)}"
        return Need(f"topic {one.topic}", True, f"{found} while records wait: they may be gone", "seamline doctor")
    found = f"keeps records for {duration(one.seconds)}, less than a day: what no role has read by then is gone"
    mend = f"kafka-configs.sh --bootstrap-server {one.bootstrap} --alter --topic {one.topic}"
    return Need(f"topic {one.topic}", False, found, f"{mend} --add-config retention.ms={7 * 86_400_000}")


def _waits(view: str, why: str, roles: Sequence[RoleState]) -> Need:
    """A definition that is not served yet."""
    runs = any(r.role in ("scheduler", "together") and r.state is State.RUNNING for r in roles)
    return Need(f"view {view}", False, why + ("" if runs else "; no scheduler runs"), f"seamline batch refresh {view}")


def _backfill(one: UnderWay) -> Iterator[Need]:
    about = f"backfill {one.view} {one.asked}"
    if one.state == "failed":
        unit, why = next(iter(one.failed.items()))
        found = f"stopped: unit {unit} failed ({why})"
        yield Need(about, True, found, f"seamline backfill resume {one.id}")
    elif one.state == "paused":
        units = f" of {one.units}" if one.units is not None else ""
        yield Need(about, False, f"is paused, {one.done}{units} units done", f"seamline backfill resume {one.id}")
    elif one.state == "built":
        found = f"version {one.version} is built and waits for a look"
        yield Need(about, False, found, f"seamline backfill promote {one.id}")
