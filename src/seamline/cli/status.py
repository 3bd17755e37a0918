"""`seamline status`: how far streams, views and roles are. It reads the lake, and asks Kafka where its logs end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.claims import Lease
from seamline.cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.clock import system_clock
from seamline.console import note, say, show_json, show_table
from seamline.errors import SeamlineError
from seamline.frontier import Frontier, topic_of
from seamline.machine.process import born
from seamline.machine.supervisor import RoleState, State, read_state
from seamline.operate.stack import ROLES, roles
from seamline.schemas.project import Project, load_project
from seamline.serving.serving import Serving
from seamline.serving.status import Status, StreamStatus, ViewStatus
from seamline.streaming.kafka import Cluster
from seamline.wording import duration

ASK_SECONDS = 3.0
"""How long Kafka may take to say where its logs end."""


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
    ends, why = log_ends(loaded)
    found = Serving(loaded.lake, loaded.settings).status(ends)
    states = role_states(loaded)
    if as_json:
        show_json({**found.to_json(), "roles": [asdict(state) for state in states], "kafka": why or "answers"})
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
        show_table(columns, [[getattr(told(state), column) for column in columns] for state in states])


def log_ends(project: Project) -> tuple[dict[str, Frontier], str]:
    """Where Kafka's logs of each stream end now; or nothing, and why that is not known."""
    try:
        cluster = Cluster(project.bootstrap, project.settings.kafka.options, patience=ASK_SECONDS)
    except SeamlineError as error:
        return {}, error.got
    try:
        return {
            stream: cluster.end(cluster.topics({c.topic for c in project.contracts_of(stream)}).values())
            for stream in project.streams
        }, ""
    except SeamlineError as error:
        return {}, error.got
    finally:
        cluster.close()


def role_states(project: Project) -> list[RoleState]:
    """The roles' states as the supervisor last wrote them; those of a supervisor that is gone count as stopped."""
    found = (read_state(project.state / ROLES, role.name) for role in roles(project, {}))
    return [alive(state) for state in found if state is not None]


def told(state: RoleState) -> RoleState:
    """The state as a table shows it: a log that is not there is said to be gone."""
    return state if Path(state.log).exists() else replace(state, log=f"{state.log} (gone)")


def alive(state: RoleState) -> RoleState:
    """The state, unless its process is gone and nobody has noted it: then nobody looks after it any more."""
    if state.pid is None or born(state.pid) == state.born:
        return state
    return replace(state, state=State.STOPPED, pid=None, reason="its supervisor is gone")


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
