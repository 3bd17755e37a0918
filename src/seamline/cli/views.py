"""`seamline views`: what the project defines, what the lake serves, and the way from one to the other."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seamline.cli import viewcheck, viewdiff, viewexplain, viewsql
from seamline.cli.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.cli.viewfind import NameArgument, batch_of, columns_of, definition_of, statements_of
from seamline.clock import system_clock
from seamline.console import say, show_json, show_table
from seamline.errors import Condition, UserError

if TYPE_CHECKING:
    from seamline.entries import Audit, Published
    from seamline.schemas.catalogue import Catalogue
    from seamline.schemas.project import Project


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("views", "The project's views.", "seamline views list")
    commands.callback(invoke_without_command=True)(views)
    commands.command(name="list", epilog=examples("seamline views list --tag money", "seamline views list --json"))(
        list_views
    )
    commands.command(name="show", epilog=examples("seamline views show orders_by_hour"))(show)
    viewcheck.add(commands)
    viewexplain.add(commands)
    viewdiff.add(commands)
    viewsql.add(commands)
    commands.command(name="apply", epilog=examples("seamline views apply"))(apply)
    commands.command(name="drop", epilog=examples("seamline views drop orders_by_hour"))(drop)
    commands.command(
        name="rollback",
        epilog=examples("seamline views rollback orders_by_hour", "seamline views rollback orders_by_hour --version 3"),
    )(rollback)
    app.add_typer(commands)


def views(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """The project's views."""
    if context.invoked_subcommand is None:
        list_views(project, as_json=as_json)


def list_views(
    project: ProjectOption = HERE,
    tag: Annotated[str | None, typer.Option("--tag", help="Only views that have this word among their tags.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the views: those of the project, and those that the lake serves."""
    from seamline.schemas.catalogue import Catalogue
    from seamline.schemas.project import load_project

    loaded = load_project(project)
    catalogue = Catalogue(loaded.lake)
    names = [
        name for name in sorted({*loaded.views, *catalogue.states}) if tag in (None, *_tags(loaded, catalogue, name))
    ]
    rows = [_line(loaded, name, catalogue.states.get(name)) for name in names]
    if as_json:
        show_json(rows)
    else:
        columns = ["view", "contracts", "derived_from", "state", "definition", "served", "version"]
        if not any(row["derived_from"] for row in rows):
            columns.remove("derived_from")
        show_table(columns, [[_words(row[column]) for column in columns] for row in rows])


def show(name: NameArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show one view: its properties, definition, the statements it compiles to, columns and batch versions."""
    from seamline.schemas.catalogue import Catalogue
    from seamline.schemas.project import load_project
    from seamline.schemas.views.cost import cost

    loaded = load_project(project)
    catalogue = Catalogue(loaded.lake)
    state = catalogue.states.get(name)
    definition = definition_of(loaded, catalogue, name, state)
    line = _line(loaded, name, state)
    versions = _versions(loaded, state)
    statements = statements_of(definition)
    if as_json:
        said: dict[str, Any] = {
            "comment": definition.comment,
            "properties": definition.properties,
            "cost": cost(definition).words,
            "columns": [asdict(column) for column in definition.columns],
            "text": definition.text,
        }
        show_json({**line, **said, "statements": statements, "versions": versions})
        return
    about = {"comment": definition.comment, **definition.properties, "cost": cost(definition).words}
    lines = [*line.items(), *((key, value) for key, value in about.items() if value)]
    lines = [(key, value) for key, value in lines if key != "derived_from" or value]
    show_table(("", name), [(key, _words(value)) for key, value in lines if key != "view"])
    for title, text in (("definition", definition.text), *statements.items()):
        say(f"\n-- {title}\n{text}")
    say()
    columns = columns_of(definition)
    show_table(tuple(columns[0]), [tuple(column.values()) for column in columns])
    say()
    if versions:
        show_table(tuple(versions[0]), [tuple(version.values()) for version in versions], title="versions")
    else:
        say("no batch version yet")


def apply(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Put the project's views into service. All are compiled first: one that is wrong leaves every one as it was."""
    from seamline.schemas.catalogue import apply_views
    from seamline.schemas.project import load_project

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
    from seamline.schemas.catalogue import drop_view
    from seamline.schemas.project import load_project

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
    from seamline.jobs.batch import Batch
    from seamline.schemas.catalogue import Catalogue
    from seamline.schemas.project import load_project

    loaded = load_project(project)
    states = list(Catalogue(loaded.lake).history(name).states.values())
    if version is None and definition is None:
        definition, version = _earlier(states)
    elif version is None:
        version = max(batch_of(loaded, definition or "").versions, default=None)
    published = Batch(loaded.lake, clock=system_clock).rollback(name, version, definition)
    number = "no batch version (from the stream's first record on)" if published.version is None else published.version
    say(f"{name} serves definition {published.served}, batch version {number}")


def _words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _line(project: Project, name: str, state: Published | None) -> dict[str, Any]:
    """One view in a few words: how the project's text and the lake's state stand to each other."""
    from seamline.schemas.views.project_views import compile_for

    view = project.views.get(name)
    compiled = compile_for(view, project.contracts, project.views)[0] if view else None
    written = compiled.hash if compiled else None
    served = state.served if state else None
    if state is not None and served is None:
        word = "dropped"
    elif view is None or compiled is None:
        word = "served, not in the project"
    elif state is None:
        word = "not applied"
    elif written == served:
        word = "served" if _said(view.text) == _said(_sql_of(state)) else "served, properties or comments not applied"
    else:
        built = written in state.live and batch_of(project, written or "").versions
        word = "built, not served" if built else "being built" if written in state.live else "changed, not applied"
    return {
        "view": name,
        "contracts": list(compiled.contracts) if compiled else _contracts_of(state),
        "derived_from": (compiled.base.view if compiled.base else "") if compiled else _base_of(state),
        "state": word,
        "definition": written,
        "served": served,
        "version": state.version if state else None,
    }


def _tags(project: Project, catalogue: Catalogue, name: str) -> tuple[str, ...]:
    from seamline.schemas.views.properties import tags

    if name in project.views:
        return tags(project.views[name].properties)
    return tags(catalogue.properties(catalogue.states[name].served or ""))


def _said(sql: str) -> tuple[object, ...]:
    from seamline.schemas.views.headers import header_of

    return header_of(sql).said


def _sql_of(state: Published) -> str:
    return next((record.sql for record in state.definitions if record.definition == state.served), "")


def _base_of(state: Published | None) -> str:
    """The view that the served definition is derived from, or ''."""
    from seamline.schemas.views.headers import header_of

    records = state.definitions if state else ()
    bases = next((r.bases for r in records if state and r.definition == state.served), ())
    return header_of(bases[0]).name if bases else ""


def _contracts_of(state: Published | None) -> list[str]:
    records = state.definitions if state else ()
    return next((sorted(r.contracts) for r in records if state and r.definition == state.served), [])


def _versions(project: Project, state: Published | None) -> list[dict[str, Any]]:
    """Every batch version of every definition that is kept, newest first."""
    found = []
    for record in reversed(state.definitions if state else ()):
        for number, version in sorted(batch_of(project, record.definition).versions.items(), reverse=True):
            found.append(
                {
                    "definition": record.definition,
                    "version": number,
                    "at": version.at.replace(microsecond=0),
                    "cut": str(version.cut),
                    "counted": version.counts.counted,
                    "audit": _audit(version.audit),
                    "served": state is not None and (state.served, state.version) == (record.definition, number),
                }
            )
    return found


def _audit(audit: Audit) -> str:
    if audit.wrong:
        return "wrong"
    return "nothing to compare" if not audit.compared else "equal" if audit.clean else "drift"


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
