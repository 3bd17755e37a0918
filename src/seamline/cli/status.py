"""`seamline status`: what needs attention, then how far streams, views and roles are. It reads the lake, and asks Kafka
where its logs end."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from seamline.claims import Lease
from seamline.clock import system_clock
from seamline.console import is_terminal, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.frontier import topic_of
from seamline.machine.supervisor import RoleState
from seamline.operate.needs import Need
from seamline.operate.status import ProjectStatus, project_status
from seamline.schemas.project import Project, load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.serving.serving import Serving
from seamline.serving.status import Status, StreamStatus, ViewStatus
from seamline.wording import duration

WIDTH = 80
"""What a status fits into, unless all of it is asked for."""

WATCH_SECONDS = 2.0


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples("seamline status", "seamline status --watch", "seamline status --wide --counts")
    app.command(name="status", epilog=shown)(status)


def status(
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    counts: Annotated[bool, typer.Option("--counts", help="Add law 3's counts of each contract, by layer.")] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Show all columns, at whatever width: cuts, frontiers, definitions, logs.")
    ] = False,
    watched: Annotated[bool, typer.Option("--watch", help="Look again every 2 s, until Ctrl-C.")] = False,
) -> None:
    """Show what needs attention, how far each stream is, what each view is served from, and how the roles are."""
    loaded = load_project(project)
    most = None if wide else WIDTH
    if watched:
        _watch(loaded, most, counts)
    elif as_json:
        show_json(_json(project_status(loaded)))
    else:
        _show(project_status(loaded), most, counts)


def _json(state: ProjectStatus) -> dict[str, object]:
    return {
        **state.lake.to_json(),
        "roles": [asdict(role) for role in state.roles],
        "kafka": state.unknown or "answers",
        "attention": [asdict(need) for need in state.needs],
        "metrics": dict(state.metrics),
        "retention": state.keeping.to_json(),
        "backfills": [one.model_dump(mode="json") for one in state.backfills],
    }


def _watch(project: Project, most: int | None, counts: bool) -> None:
    """The same, refreshed in place. Raises INPUT_INVALID where nobody looks."""
    if not is_terminal():
        raise UserError(
            Condition.INPUT_INVALID, "--watch needs a terminal", hint="'seamline status --json' is for scripts"
        )
    serving = Serving(project.lake, project.settings)
    with suppress(KeyboardInterrupt), Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            drawn = StringIO()
            with redirect_stdout(drawn):
                say(f"{project.folder.name} at {system_clock():%H:%M:%S} UTC; Ctrl-C ends\n")
                _show(project_status(project, serving), most, counts)
            live.update(Text(drawn.getvalue(), no_wrap=most is None), refresh=True)
            time.sleep(WATCH_SECONDS)


def _show(state: ProjectStatus, most: int | None, counts: bool) -> None:
    """All of it as text, at most so wide."""
    _show_needs(state.needs)
    if state.unknown:
        _told(f"lag in records is not known: {state.unknown}")
    say()
    _show_streams(state.lake, most)
    _show_writers(state.lake, most)
    _show_topics(state.lake, most)
    _show_views(state.lake, most)
    if counts:
        show_counts(state.lake, most)
    _show_roles(state.roles, most)
    _table(("process", "metrics"), state.metrics.items(), most)
    _table(("kept", "for"), state.keeping.rows, most)


def _show_needs(found: Sequence[Need]) -> None:
    """What needs attention, each with its command on a line of its own, never broken."""
    say("needs attention:" if found else "nothing needs attention")
    for need in found:
        _told(f"{need.about}: {need.found}", "! " if need.fault else "- ")
        say(f"    {need.help}")


def _told(text: str, mark: str = "") -> None:
    """A sentence over as many lines as it takes."""
    for line in textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark)):
        say(line)


def told(state: RoleState) -> RoleState:
    """The state as a table shows it: a log that is not there is said to be gone."""
    return state if Path(state.log).exists() else replace(state, log=f"{state.log} (gone)")


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], most: int | None) -> None:
    """A table, if there are rows, after an empty line."""
    found = list(rows)
    if found:
        say()
        show_table(columns, found, most=most)


def _show_streams(found: Status, most: int | None) -> None:
    columns = ["stream", "last epoch", "committed", "lag records", "lag", "archive lag"]
    rows = [list(_stream(stream)) for stream in found.streams.values()]
    if most is None:
        columns, rows = (
            [*columns, "frontier"],
            [[*r, s.frontier] for r, s in zip(rows, found.streams.values(), strict=True)],
        )
    show_table(columns, rows, most=most)
    for stream in found.streams.values():
        _told(_law(stream))


def _stream(stream: StreamStatus) -> tuple[object, ...]:
    return (
        stream.name,
        stream.last_epoch or "none",
        f"{duration(_age(stream))} ago" if stream.committed else None,
        stream.lag_records,
        _lag(stream),
        stream.archive_lag_records,
    )


def _law(stream: StreamStatus) -> str:
    total = stream.total
    parts = f"{total.read} read = {total.counted} counted + {total.rejected} rejected + {total.duplicate} copies"
    return f"{stream.name}: {parts if stream.balanced else f'law 3 is BROKEN: {parts}'}"


def _show_writers(found: Status, most: int | None) -> None:
    """Who holds the logs, and what they wait for: told by the lake, so on any machine."""
    rows = [
        (f"{name}/{stream.name}", f"waits: {lease.waits}" if lease.waits else "works", *_place(lease))
        for stream in found.streams.values()
        for name, lease in sorted(stream.writers.items())
    ]
    _table(("writer", "state", "for", "host", "pid"), rows, most)


def _show_topics(found: Status, most: int | None) -> None:
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
    _table(("stream", "topic", "state", "offsets"), rows, most)


def _place(lease: Lease) -> tuple[object, ...]:
    since = datetime.fromisoformat(lease.since) if lease.since else None
    waited = duration(max(0.0, (system_clock() - since).total_seconds())) if since else None
    return waited, lease.host, lease.pid


def _age(stream: StreamStatus) -> float:
    """Seconds since the last epoch."""
    return max(0.0, (system_clock() - stream.committed).total_seconds()) if stream.committed else 0.0


def _lag(stream: StreamStatus) -> str | None:
    """Seconds since the newest record that was read; where nothing waits to be read, that is no lag."""
    if stream.lag_records == 0:
        return "none"
    return None if stream.lag_seconds is None else duration(max(0.0, stream.lag_seconds))


def _show_views(found: Status, most: int | None) -> None:
    columns = ["view", "state", "version", "epochs after", "drift"]
    rows = [list(_view(view)) for view in found.views.values()]
    if most is None:
        columns += ["definition", "cut"]
        rows = [[*row, view.definition, view.cut] for row, view in zip(rows, found.views.values(), strict=True)]
    _table(columns, rows, most)


def _view(view: ViewStatus) -> tuple[object, ...]:
    version = "none yet" if view.version is None else view.version
    state = f"{view.state}, pinned" if view.pinned else view.state
    return view.name, state, version, view.epochs, view.drift


def show_counts(found: Status, most: int | None) -> None:
    """Both layers by contract, in terms that both have: what was read, what of it is rejected, and what is valid. Which
    of these are copies only the speed layer says here: the archive keeps them, and batch versions leave them out."""
    rows: list[tuple[object, ...]] = []
    for stream in found.streams.values():
        for contract in sorted({*stream.counts, *stream.archive_counts}):
            name = contract or "(unclaimed)"
            if (c := stream.counts.get(contract)) is not None:
                rows.append((name, "speed", c.read, c.rejected, c.counted + c.duplicate, c.duplicate, c.counted))
            if (c := stream.archive_counts.get(contract)) is not None:
                rows.append((name, "archive", c.read, c.rejected, c.counted + c.duplicate, "kept", "by batch"))
    _table(("contract", "layer", "read", "rejected", "valid", "copies", "counted"), rows, most)


def _show_roles(states: Sequence[RoleState], most: int | None) -> None:
    columns = ["role", "state", "pid", "restarts", "reason"] + ([] if most else ["log"])
    _table(columns, [[getattr(told(state), column) for column in columns] for state in states], most)
