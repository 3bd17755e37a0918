"""`seamline views apply`, `drop` and `rollback`: what the lake serves from now on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from seamline.cli.viewfind import NameArgument
from seamline.console import say, show_json, show_table
from seamline.operate.viewapply import begins_of, hold, put_into_service, serve_other, take_out_of_service
from seamline.operate.viewawaits import awaited
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the commands."""
    commands.command(name="apply", epilog=examples("seamline views apply"))(apply)
    commands.command(name="drop", epilog=examples("seamline views drop orders_by_hour"))(drop)
    commands.command(
        name="rollback",
        epilog=examples("seamline views rollback orders_by_hour", "seamline views rollback orders_by_hour --version 3"),
    )(rollback)
    commands.command(name="pin", epilog=examples("seamline views pin orders_by_hour"))(pin)
    commands.command(name="unpin", epilog=examples("seamline views unpin orders_by_hour"))(unpin)


def apply(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Put the project's views into service. All are compiled first: one that is wrong leaves every one as it was."""
    here = load_project(project)
    applied = put_into_service(here)
    waiting = {(one.view, one.definition): one for one in awaited(here)}
    begins = begins_of(here, applied)
    when = [waiting.get((one.view, one.definition)) for one in applied]
    if as_json:
        show_json([
            {
                **asdict(one), "served": at is None, "waits": at.waits if at else "",
                "begins": {name: day.isoformat() for name, day in begins.get(one.view, {}).items()},
            }
            for one, at in zip(applied, when, strict=True)
        ])  # fmt: skip
        return
    words = {
        "new": "new: served from the stream's first record on",
        "returned": "returned: served as before it was dropped; refresh it where epochs came meanwhile",
        "changed": "changed: built beside the served definition, and switched to when its first version is done",
        "described": "its newer texts taken over: nothing is rebuilt",
        "unchanged": "unchanged",
    }
    show_table(("view", "definition", "change"), [(one.view, one.definition, words[one.change]) for one in applied])
    for view, days in begins.items():
        since = ", ".join(f"of {name} from {day} on" for name, day in sorted(days.items()))
        say(f"{view}: {since} alone: raw of before is gone")
    for at in filter(None, when):
        say(f"{at.view}: {at.definition} is to be served, {at.when}")


def drop(name: NameArgument, project: ProjectOption = HERE) -> None:
    """Take a view out of service. Its text has to be gone from views/: what stands there is put into service again.

    It gets no epochs from now on. Applied again, it has a hole until its next batch version: no number is given.
    """
    done = take_out_of_service(load_project(project), name)
    say(f"{name} is no longer served" if done else f"{name} was dropped before")


def rollback(
    name: NameArgument,
    version: Annotated[
        int | None, typer.Option("--version", help="The batch version to serve; default: what was served before.")
    ] = None,
    definition: Annotated[
        str | None, typer.Option("--definition", help="Whose version that is; default: the served definition's.")
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Serve another batch version of a view, older or held back, in one entry. It wins over runs under way."""
    published = serve_other(load_project(project), name, version, definition)
    number = "no batch version (from the stream's first record on)" if published.version is None else published.version
    say(f"{name} serves definition {published.served}, batch version {number}")


def pin(name: NameArgument, project: ProjectOption = HERE) -> None:
    """Keep what a view serves: refreshes, rebuilds and backfills publish nothing until it is unpinned.

    Answers go on: the epochs after its cut stay until then. Rolling back is an operator's word too, and is obeyed.
    """
    done = hold(load_project(project), name, pinned=True)
    say(f"{name} stays at what it serves" if done else f"{name} was pinned before")


def unpin(name: NameArgument, project: ProjectOption = HERE) -> None:
    """Let refreshes, rebuilds and backfills of a view publish again."""
    done = hold(load_project(project), name, pinned=False)
    say(f"{name} follows its runs again" if done else f"{name} was not pinned")
