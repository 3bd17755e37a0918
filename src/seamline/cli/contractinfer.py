"""`seamline contracts infer`: a draft of a contract from files of events."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from seamline.console import note, say, show_json
from seamline.kernel import kernel
from seamline.operate.contractinfer import SAMPLE, Inferred, infer_contract, rejections, write_draft
from seamline.serve_cli.options import JsonOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    shown = examples(
        "seamline contracts infer orders.jsonl.gz",
        "seamline contracts infer orders.csv --name orders --out contracts/orders.yaml",
    )
    commands.command(name="infer", epilog=shown)(infer)


def infer(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JSON lines or CSV, plain or packed.")],
    name: Annotated[
        str | None, typer.Option("--name", help="The contract's name.", show_default="from the file's name")
    ] = None,
    topic: Annotated[
        str | None, typer.Option("--topic", help="Its Kafka topic.", show_default="the contract's name")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the draft there; no file is overwritten.")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Records to look at, at most.")] = SAMPLE,
    as_json: JsonOption = False,
) -> None:
    """Draft a contract from files of events: types, event time, event id, key, and what is unsure of them.

    Needs no project.
    """
    found = infer_contract(files, kernel(), datetime.now(UTC), name, topic, sample)
    if out is not None:
        write_draft(found.text, out)
        note(f"made {out}")
    if as_json:
        show_json(_told(found, out))
    elif out is None:
        say(found.text.rstrip("\n"))
    if rejected := rejections(found.survey.rejected):
        note(f"of {found.survey.records:,} records it rejects {rejected}")


def _told(found: Inferred, out: Path | None) -> dict[str, object]:
    contract = found.contract
    return {
        "contract": contract.name,
        "topic": contract.topic,
        "event_time": contract.event_time,
        "event_id": contract.event_id,
        "key": contract.key,
        "fields": [
            {"field": one.name, "type": one.epoch or one.type, "column": one.sql_type, "required": one.required}
            for one in contract.fields
        ],
        "records": found.survey.records,
        "rejected": dict(found.survey.rejected),
        "unsure": [asdict(one) for one in found.draft.doubts],
        "out": str(out) if out else None,
        "text": found.text,
    }
