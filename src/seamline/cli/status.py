"""`seamline status`: how far streams, views and roles are. It reads the lake, and asks Kafka where its logs end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.claims import Lease
from seamline.clock import system_clock
from seamline.console import note, say, show_json, show_table
from seamline.frontier import topic_of
from seamline.machine.supervisor import RoleState
from seamline.operate.status import project_status
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.serving.status import Status, StreamStatus, ViewStatus
from seamline.wording import duration


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="status", epilog=examples("seamline status", "seamline status --json"))(status)


def status(
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    counts: Annotated[bool, typer.Option("--counts", help="Add law 3's counts of each contract.")] = False,
) -> None:
    """Show how far each stream is, what each view is served from, and how the roles are."""
    loaded = load_project(project)
    state = project_status(loaded)
    found, why, states = state.lake, state.unknown, state.roles
    if as_json:
        roles = [asdict(one) for one in states]
        show_json({**found.to_json(), "roles": roles, "metrics": dict(state.metrics), "kafka": why or "answers"})
        return
    if why:
        note(f"lag in records is not known: {why}")
    _show_streams(found)
    _show_writers(found)
    _show_topics(found)
    say()
    _show_views(found)
    if counts:
        say()
        _show_counts(found)
    if states:
        say()
        columns = ("role", "state", "pid", "restarts", "reason", "log")
        show_table(columns, [[getattr(told(one), column) for column in columns] for one in states])
    if state.metrics:
        say()
        show_table(("process", "metrics"), list(state.metrics.items()))


def told(state: RoleState) -> RoleState:
    """The state as a table shows it: a log that is not there is said to be gone."""
    return state if Path(state.log).exists() else replace(state, log=f"{state.log} (gone)")


def _show_streams(found: Status) -> None:
    columns = ("stream", "last epoch", "committed", "lag records", "lag", "archive lag", "law 3", "frontier")
    show_table(columns, [_stream(stream) for stream in found.streams.values()])


def _show_writers(found: Status) -> None:
    """Who holds the logs, and what they wait for: told by the lake, so on any machine."""
    rows = [
        (f"{name}/{stream.name}", f"waits: {lease.waits}" if lease.waits else "works", *_place(lease))
        for stream in found.streams.values()
        for name, lease in sorted(stream.writers.items())
    ]
    if rows:
        say()
        show_table(("writer", "state", "for", "host", "pid"), rows)


def _show_topics(found: Status) -> None:
    """What is not as usual with the streams' topics: left and not yet read to the end, or accepted as gone."""
    rows: list[tuple[object, ...]] = [
        (stream.name, topic_of(source), "left", str(end))
        for stream in found.streams.values()
        for source, end in stream.leaving.items()
    ]
    rows += [
        (stream.name, f"{topic_of(one.source)}/{one.partition}", f"gone, {one.known}", f"{one.start} to {one.end}")
        for stream in found.streams.values()
        for one in stream.gone
    ]
    if rows:
        say()
        show_table(("stream", "topic", "state", "offsets"), rows)


def _place(lease: Lease) -> tuple[object, ...]:
    since = datetime.fromisoformat(lease.since) if lease.since else None
    waited = duration(max(0.0, (system_clock() - since).total_seconds())) if since else None
    return waited, lease.host, lease.pid


def _stream(stream: StreamStatus) -> tuple[object, ...]:
    total = stream.total
    law = f"{total.read} = {total.counted} + {total.rejected} + {total.duplicate}"
    return (
        stream.name,
        stream.last_epoch or "none",
        f"{duration(_age(stream))} ago" if stream.committed else None,
        stream.lag_records,
        _lag(stream),
        stream.archive_lag_records,
        law if stream.balanced else f"BROKEN: {law}",
        stream.frontier,
    )


def _age(stream: StreamStatus) -> float:
    """Seconds since the last epoch."""
    return max(0.0, (system_clock() - stream.committed).total_seconds()) if stream.committed else 0.0


def _lag(stream: StreamStatus) -> str | None:
    """Seconds since the newest record that was read; where nothing waits to be read, that is no lag."""
    if stream.lag_records == 0:
        return "none"
    return None if stream.lag_seconds is None else duration(max(0.0, stream.lag_seconds))


def _show_views(found: Status) -> None:
    columns = ("view", "state", "definition", "version", "epochs after the cut", "drift", "cut")
    show_table(columns, [_view(view) for view in found.views.values()])
    for view in found.views.values():
        if view.error:
            note(f"{view.name}: {view.error}")


def _view(view: ViewStatus) -> tuple[object, ...]:
    version = "none yet" if view.version is None else view.version
    return view.name, view.state, view.definition, version, view.epochs, view.drift, view.cut


def _show_counts(found: Status) -> None:
    rows: list[tuple[Any, ...]] = []
    for stream in found.streams.values():
        layers: Mapping[str, Mapping[str, Any]] = {"speed": stream.counts, "archive": stream.archive_counts}
        for layer, counts in layers.items():
            for contract, c in sorted(counts.items()):
                rows.append((layer, contract or "(unclaimed)", c.read, c.counted, c.rejected, c.duplicate))
    show_table(("layer", "contract", "read", "counted", "rejected", "duplicate"), rows)
