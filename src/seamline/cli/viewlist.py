"""`seamline views list` and `show`: what the project defines, and what the lake serves of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from seamline.cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.cli.viewfind import NameArgument, batch_of, columns_of, definition_of, statements_of
from seamline.console import say, show_json, show_table
from seamline.entries import Audit, Published
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project, load_project
from seamline.schemas.views.cost import cost
from seamline.schemas.views.headers import header_of
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.properties import tags


def add(commands: typer.Typer) -> None:
    """Adds the commands."""
    shown = examples("seamline views list --tag money", "seamline views list --json")
    commands.command(name="list", epilog=shown)(list_views)
    commands.command(name="show", epilog=examples("seamline views show orders_by_hour"))(show)


def list_views(
    project: ProjectOption = HERE,
    tag: Annotated[str | None, typer.Option("--tag", help="Only views that have this word among their tags.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the views: those of the project, and those that the lake serves."""
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


def _words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _line(project: Project, name: str, state: Published | None) -> dict[str, Any]:
    """One view in a few words: how the project's text and the lake's state stand to each other."""
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
    if name in project.views:
        return tags(project.views[name].properties)
    return tags(catalogue.properties(catalogue.states[name].served or ""))


def _said(sql: str) -> tuple[object, ...]:
    return header_of(sql).said


def _sql_of(state: Published) -> str:
    return next((record.sql for record in state.definitions if record.definition == state.served), "")


def _base_of(state: Published | None) -> str:
    """The view that the served definition is derived from, or ''."""
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
