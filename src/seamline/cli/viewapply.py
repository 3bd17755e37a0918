"""`seamline views apply`, `drop` and `rollback`: what the lake serves from now on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from seamline.cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.cli.viewfind import NameArgument, batch_of
from seamline.clock import system_clock
from seamline.console import say, show_json, show_table
from seamline.entries import Published
from seamline.errors import Condition, UserError
from seamline.jobs.batch import Batch
from seamline.schemas.catalogue import Catalogue, apply_views, drop_view
from seamline.schemas.project import load_project


def add(commands: typer.Typer) -> None:
    """Adds the commands."""
    commands.command(name="apply", epilog=examples("seamline views apply"))(apply)
    commands.command(name="drop", epilog=examples("seamline views drop orders_by_hour"))(drop)
    commands.command(
        name="rollback",
        epilog=examples("seamline views rollback orders_by_hour", "seamline views rollback orders_by_hour --version 3"),
    )(rollback)


def apply(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Put the project's views into service. All are compiled first: one that is wrong leaves every one as it was."""
    loaded = load_project(project)
    applied = apply_views(loaded.lake, loaded.views, loaded.contracts, system_clock)
    if as_json:
        show_json([asdict(one) for one in applied])
        return
    words = {
        "new": "new: served from the stream's first record on",
        "returned": "returned: served as before it was dropped; refresh it where epochs came meanwhile",
        "changed": "changed: built beside the served definition, and switched to when its first version is done",
        "described": "properties or comments taken over: nothing is rebuilt",
        "unchanged": "unchanged",
    }
    show_table(("view", "definition", "change"), [(one.view, one.definition, words[one.change]) for one in applied])


def drop(name: NameArgument, project: ProjectOption = HERE) -> None:
    """Take a view out of service. Its text has to be gone from views/: what stands there is put into service again.

    It gets no epochs from now on. Applied again, it has a hole until its next batch version: no number is given.
    """
    loaded = load_project(project)
    if name in loaded.views:
        raise UserError(
            Condition.VIEW_INVALID,
            f"view {name} is still in the project",
            mend="remove it there first: 'seamline up' and 'views apply' put what stands in views/ into service",
            where=loaded.views[name].source.place(0),
        )
    done = drop_view(loaded.lake, name, system_clock)
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
    loaded = load_project(project)
    states = list(Catalogue(loaded.lake).history(name).states.values())
    if version is None and definition is None:
        definition, version = _earlier(states)
    elif version is None:
        version = max(batch_of(loaded, definition or "").versions, default=None)
    published = Batch(loaded.lake, clock=system_clock).rollback(name, version, definition)
    number = "no batch version (from the stream's first record on)" if published.version is None else published.version
    say(f"{name} serves definition {published.served}, batch version {number}")


def _earlier(states: list[Published]) -> tuple[str, int | None]:
    """What was served before the newest state began to serve what it serves."""
    now = (states[-1].served, states[-1].version)
    for state in reversed(states):
        if state.served is not None and (state.served, state.version) != now:
            return state.served, state.version
    raise UserError(
        Condition.OUT_OF_RETENTION,
        f"view {states[-1].view} never served anything else",
        mend="'seamline views show' lists the versions there are",
    )
