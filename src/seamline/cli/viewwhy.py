"""`seamline why`: the events that a row of a view counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from seamline.cli.viewchanges import key_value
from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.frontier import Position, topic_of
from seamline.operate.viewwhy import Page, Why, why
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples

DIFFERS = 3
"""How it ends where the row is not what its events make, as `verify` does."""


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples(
        "seamline why orders_by_hour hour='2026-01-31 10:00:00+00' country=FI",
        "seamline why orders_by_hour hour='2026-01-31 10:00:00+00' --null country --skip 50 --limit 50 --json",
    )
    app.command(name="why", epilog=shown)(explain_row)


def explain_row(
    view: Annotated[str, typer.Argument(help="The view.")],
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The row's keys.")] = None,
    null: Annotated[list[str] | None, typer.Option("--null", metavar="KEY", help="A key that is NULL.")] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Events to leave out, the first ones.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Events to show.")] = 50,
    rejected: Annotated[int, typer.Option("--rejected", min=0, help="Rejected records near them to show.")] = 10,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say why a row says what it says: exactly the events that count in it, the copies left out, the row computed
    again.

    It ends with 3 where what is served is not what the events make.
    """
    asked = _asked(keys or [], null or [])
    with progress(f"why {view} says so"):
        found = why(load_project(project), view, asked, Page(skip, limit, rejected))
    if as_json:
        show_json(_told(found))
    else:
        _show(found, skip)
    if found.differs:
        raise typer.Exit(DIFFERS)


def _asked(keys: list[str], null: list[str]) -> dict[str, str | None]:
    pairs: list[tuple[str, str | None]] = [*map(key_value, keys), *((name, None) for name in null)]
    for name, _ in pairs:
        if sum(name == other for other, _ in pairs) > 1:
            raise UserError(Condition.INPUT_INVALID, f"key {name} twice", detail="each key once", hint="name it once")
    return dict(pairs)


def _show(found: Why, skip: int) -> None:
    told = found.told
    version = f"version {told.version}" if told.version is not None else "no version"
    say(f"{', '.join(f'{name}={value}' for name, value in found.key.items())}")
    say(f"as of epoch {told.epoch} ({version} of definition {told.definition})" + _behind(found))
    rows = [(name, value, found.recomputed.get(name), _verdict(found, name)) for name, value in found.row.items()]
    show_table(("column", "served", "from its events", ""), rows)
    say()
    many = f"{found.events:,} events count in it" if found.events != 1 else "one event counts in it"
    shown = f"; shown are {skip + 1:,} to {skip + len(found.page):,}" if len(found.page) < found.events else ""
    say(many + (shown if found.page else "; none is shown"))
    _show_events(found)
    if found.copies:
        say()
        say(f"{len(found.copies):,} copies do not count")
        show_table(
            ("topic", "partition", "offset", "counts at"),
            [(*_place(one.at), "{} {} {}".format(*_place(one.counts))) for one in found.copies],
        )
    if found.rejected:
        say()
        say(f"{found.rejected:,} records near them were rejected")
        show_table(("topic", "partition", "offset", "reason"), [(*_place(one.at), one.reason) for one in found.near])
    for one in _notes(found):
        note(one)


def _show_events(found: Why) -> None:
    names = dict.fromkeys(name for one in found.page for name in one.fields)
    rows = [
        (*_place(one.at), one.id, one.time.isoformat(), *(one.fields.get(name) for name in names)) for one in found.page
    ]
    if rows:
        show_table(("topic", "partition", "offset", "id", "time", *names), rows)


def _behind(found: Why) -> str:
    return f"; epoch {found.newest} is the newest, and the archive has not passed it yet" * (
        found.newest > found.told.epoch
    )


def _verdict(found: Why, name: str) -> str:
    return "differs" if name in found.differs else ""


def _notes(found: Why) -> Iterator[str]:
    if found.hidden:
        yield "the view's HAVING leaves this row out"
    if found.differs:
        yield f"{', '.join(found.differs)}: not what the events make; 'seamline verify' finds such rows"
    yield from found.notes


def _place(at: Position) -> tuple[str, int, int]:
    return topic_of(at.source), at.partition, at.offset


def _told(found: Why) -> dict[str, Any]:
    def place(at: Position) -> dict[str, Any]:
        return {"source": at.source, "partition": at.partition, "offset": at.offset}

    def event(fields: Mapping[str, Any], at: Position, **more: Any) -> dict[str, Any]:
        return {**{name: value for name, value in fields.items() if name not in ("at", "counts")}, **place(at), **more}

    chain = found.told.chain
    return {
        "epoch": found.told.epoch,
        "newest_epoch": found.newest,
        "definition": found.told.definition,
        "version": found.told.version,
        "cut": chain.cut.to_json(),
        "reached": chain.reached.to_json(),
        "key": dict(found.key),
        "row": dict(found.row),
        "recomputed": dict(found.recomputed),
        "differs": list(found.differs),
        "hidden": found.hidden,
        "events": found.events,
        "page": [event(asdict(one), one.at) for one in found.page],
        "copies": [event(asdict(one), one.at, counts=place(one.counts)) for one in found.copies],
        "rejected": found.rejected,
        "near": [event(asdict(one), one.at) for one in found.near],
        "notes": list(_notes(found)),
    }
