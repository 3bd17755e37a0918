"""`seamline changes`: why a view's numbers are others than they were."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.operate.changed_numbers import CAUSES, NumberChange
from seamline.operate.changed_told import Told
from seamline.operate.viewchanges import Changes, changes
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples

SHOWN = 30
"""Groups that are shown, those with the largest parts; JSON has all."""


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples(
        "seamline changes orders_by_hour --from-epoch 120 --to-epoch 180",
        "seamline changes orders_by_hour --from-epoch 120 --key country=FI --json",
    )
    app.command(name="changes", epilog=shown)(explain_changes)


def explain_changes(
    view: Annotated[str, typer.Argument(help="The view.")],
    first: Annotated[int, typer.Option("--from-epoch", metavar="A", min=1, help="The earlier epoch.")],
    last: Annotated[
        int | None, typer.Option("--to-epoch", metavar="B", min=1, help="The later one.", show_default="the newest")
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="COL=VALUE", help="Of groups with this value of a key alone.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say why a view's counts and sums changed between two epochs: each difference, divided by cause.

    The parts add up exactly. Compared is what readers were told last while each epoch was the newest.
    """
    where = dict(map(key_value, keys or []))
    with progress(f"changes of {view}"):
        found = changes(load_project(project), view, first, last, where)
    if as_json:
        show_json(_told(found))
    else:
        _show(found)


def key_value(text: str) -> tuple[str, str]:
    """`COL=VALUE`, as a key is named in a command. Raises INPUT_INVALID."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        detail = "a key of the view and a value, such as country=FI"
        raise UserError(Condition.INPUT_INVALID, f"{text!r} for a key", detail=detail, hint="write it so")
    return name, value


def _show(found: Changes) -> None:
    say(f"{found.view}: from {_side(found.before)} to {_side(found.after)}")
    causes = [cause for cause in CAUSES if any(cause in one.parts for one in found.groups)]
    if not causes:
        say("no count and no sum has changed")
    else:
        show_table(
            ("column", "difference", *causes), [(t.column, t.difference, *_parts(t, causes)) for t in found.totals]
        )
        say()
        largest = sorted(found.groups, key=_weight, reverse=True)[:SHOWN]
        rows = [(*one.key, one.column, one.difference, *_parts(one, causes)) for one in found.groups if one in largest]
        show_table((*found.keys, "column", "difference", *causes), rows)
    for cause in causes:
        note(f"{cause}: {CAUSES[cause]}")
    if len(found.groups) > SHOWN:
        note(f"and {len(found.groups) - SHOWN:,} more numbers: --json has all")
    for column, why in found.left_out.items():
        note(f"not divided: {column}: {why}")
    if found.note:
        note(found.note)


def _side(told: Told) -> str:
    version = f"version {told.version}" if told.version is not None else "no version"
    return f"epoch {told.epoch} ({version} of definition {told.definition})"


def _parts(one: NumberChange, causes: list[str]) -> list[object]:
    return [one.parts.get(cause) for cause in causes]


def _weight(one: NumberChange) -> Decimal:
    return max(abs(Decimal(part)) for part in one.parts.values())


def _told(found: Changes) -> dict[str, Any]:
    def side(told: Told) -> dict[str, Any]:
        chain = {"cut": told.chain.cut.to_json(), "reached": told.chain.reached.to_json()}
        return {"epoch": told.epoch, "definition": told.definition, "version": told.version, **chain}

    def change(one: NumberChange) -> dict[str, Any]:
        return {**asdict(one), "key": dict(zip(found.keys, one.key, strict=False))}

    return {
        "view": found.view,
        "from": side(found.before),
        "to": side(found.after),
        "totals": [change(one) for one in found.totals],
        "groups": [change(one) for one in found.groups],
        "left_out": dict(found.left_out),
        "note": found.note,
    }
