"""`seamline contracts`: what the project's contracts say, and what a change of one needs."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.cli import contractinfer
from seamline.console import say, show_json, show_table
from seamline.operate.contractcheck import check_contract
from seamline.operate.contractdiff import ContractDifference, contract_differences
from seamline.operate.survey import SHOWN
from seamline.progress import progress
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.wording import duration


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("contracts", "The project's contracts.", "seamline contracts list")
    commands.callback(invoke_without_command=True)(contracts)
    commands.command(name="list", epilog=examples("seamline contracts list --json"))(list_contracts)
    commands.command(name="show", epilog=examples("seamline contracts show orders"))(show)
    shown = examples("seamline contracts diff", "seamline contracts diff orders")
    commands.command(name="diff", epilog=shown)(diff)
    commands.command(name="check", epilog=examples("seamline contracts check orders-new.yaml"))(check)
    contractinfer.add(commands)
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


def diff(
    name: Annotated[str | None, typer.Argument(help="The contract's name.", show_default="every contract")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compare contracts with what views are served by: what changed, and what each view needs, and why."""
    found = contract_differences(load_project(project), name)
    if as_json:
        show_json([_told(one) for one in found])
        return
    for one in found:
        _show_difference(one)
        say()


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One contract's file, in the project or not.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Check one contract's file: whether it is valid, what views would need, what archived records it would reject.

    Or accept that are rejected now. Nothing is changed. Each archived record of the contract is decoded once.
    """
    found = check_contract(load_project(project), file, progress)
    if as_json:
        verdicts = [asdict(one) for one in found.verdicts]
        show_json({
            **_told(found.difference), "new": found.is_new, "would_reject": found.rejected,
            "would_accept": found.accepted, "records": verdicts,
        })  # fmt: skip
        return
    say(f"{file} is valid")
    _show_difference(found.difference)
    if found.is_new:
        say(f"{found.contract} is new: it judges what comes, and what its topic holds and no contract claims")
        return
    say(f"of the archived records {found.rejected} more would be rejected, and {found.accepted} more accepted")
    if found.verdicts:
        rows = [
            (one.records, one.was or "accepted", one.now or "accepted", one.first) for one in found.verdicts[:SHOWN]
        ]
        show_table(("records", "now", "would be", "first"), rows)


def _show_difference(one: ContractDifference) -> None:
    say(f"{one.contract}: dedup horizon {_horizon(one)}")
    if one.changes:
        rows = [(c.what, c.name, c.old, c.new, c.effect) for c in one.changes]
        show_table(("change", "of", "was", "is", "to a record"), rows)
    for view in one.views:
        say(f"{view.view} needs: {view.needs} ({view.why})")


def _horizon(one: ContractDifference) -> str:
    wanted = duration(one.horizon.total_seconds())
    if one.held is None:
        return wanted
    held = f"{duration(one.held.horizon.total_seconds())}, by which epochs go since epoch {one.held.epoch}"
    same = one.held.horizon == one.horizon
    return f"{held} ({one.held.start})" if same else f"{held}; {wanted} from the next epoch on"


def _told(one: ContractDifference) -> dict[str, Any]:
    held = one.held
    return {
        "contract": one.contract,
        "changes": [asdict(change) for change in one.changes],
        "views": [asdict(view) for view in one.views],
        "dedup_horizon": {
            "project": one.horizon.total_seconds(),
            "held": held and held.horizon.total_seconds(),
            "since_epoch": held and held.epoch,
            "from": held and str(held.start),
        },
    }


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
