"""`seamline contracts`: what the project's contracts say."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from seamline.command.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.console import say, show_json, show_table
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import load_project
from seamline.wording import duration


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("contracts", "The project's contracts.", "seamline contracts list")
    commands.callback(invoke_without_command=True)(contracts)
    commands.command(name="list", epilog=examples("seamline contracts list --json"))(list_contracts)
    commands.command(name="show", epilog=examples("seamline contracts show orders"))(show)
    app.add_typer(commands)


def contracts(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """The project's contracts."""
    if context.invoked_subcommand is None:
        list_contracts(project, as_json)


def list_contracts(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the contracts: topic, event time, event id, key."""
    rows = [_summary(contract) for contract in load_project(project).contracts.values()]
    if as_json:
        show_json(rows)
    else:
        columns = ("contract", "version", "stream", "topic", "event time", "event id", "key", "fields", "owner")
        show_table(columns, [[row[c.replace(" ", "_")] for c in columns] for row in rows])


def show(
    name: Annotated[str, typer.Argument(help="The contract's name.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show one contract: its fields, rules and bounds."""
    contract = load_project(project).contract(name)
    fields = [
        {
            "field": field.name,
            "type": field.epoch or field.type,
            "column": field.sql_type,
            "required": field.required,
            "rules": ", ".join(f"{rule.kind} {', '.join(map(_plain, rule.values))}" for rule in field.rules),
        }
        for field in contract.fields
    ]
    about = {
        **_summary(contract),
        "decoding": contract.decoding,
        "dedup_horizon": duration(contract.horizon.total_seconds()),
        "event_time_from": contract.earliest,
        "event_time_ahead": duration(contract.ahead.total_seconds()),
    }
    if as_json:
        show_json({**about, "fields": fields})
        return
    show_table(("", contract.name), [(key.replace("_", " "), value) for key, value in about.items() if key != "fields"])
    say()
    show_table(tuple(fields[0]), [tuple(field.values()) for field in fields])


def _plain(bound: str) -> str:
    """A rule's SQL literal without its cast: `(1)::BIGINT` is 1."""
    return re.sub(r"^\((.*)\)$", r"\1", re.sub(r"::[A-Z][A-Z0-9(), ]*$", "", bound))


def _summary(contract: Contract) -> dict[str, Any]:
    return {
        "contract": contract.name,
        "version": contract.version,
        "stream": contract.stream,
        "topic": contract.topic,
        "event_time": contract.event_time,
        "event_id": contract.event_id,
        "key": contract.key,
        "fields": len(contract.fields),
        "owner": contract.owner or None,
    }
