"""A draft of a contract from files of events, judged by the statement that will decode them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from seamline.errors import Condition, UserError
from seamline.kernel import Kernel
from seamline.operate.event_files import EventFile
from seamline.operate.survey import SHOWN, Survey, check_names, judge_files
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.contracts.custom_properties import TOPIC
from seamline.schemas.contracts.drafted import draft_text
from seamline.schemas.contracts.infer import Draft, draft
from seamline.schemas.contracts.observed import ObservedEvents
from seamline.schemas.contracts.types import NAME

SAMPLE = 100_000
"""Records that are looked at unless told otherwise."""


@dataclass(frozen=True)
class Inferred:
    """A draft that the project's own parser reads, and what it says of the records that it was made from."""

    draft: Draft
    contract: Contract

    text: str
    """The YAML, with what it is unsure of as comments."""

    survey: Survey


def infer_contract(
    paths: Sequence[Path],
    engine: Kernel,
    now: datetime,
    name: str | None = None,
    topic: str | None = None,
    most: int = SAMPLE,
) -> Inferred:
    """A contract of the first records of some files, in all at most `most` (and one of each). The files are read twice.

    Time grows with records and their values; memory with the fields, and by some 70 bytes for each record and for each
    value of a field that never stood twice. Raises UserError INPUT_INVALID where a file cannot be read, a name cannot
    be a contract's or a topic's, or no field says when an event happened.
    """
    check_names(paths)
    found, contract = draft_contract(paths, name, topic, most)
    survey = judge_files(paths, contract, (), engine, now, most=_of_each(paths, most))
    return Inferred(found, contract, draft_text(found, _head(paths, survey)), survey)


def draft_contract(
    paths: Sequence[Path], name: str | None = None, topic: str | None = None, most: int = SAMPLE
) -> tuple[Draft, Contract]:
    """The same without a judgement: the files are read once. Raises as `infer_contract` does."""
    called = _contract_name(name, paths[0])
    sample = ObservedEvents()
    for path in paths:
        with EventFile(path) as file:
            for record, document in islice(file.look(), _of_each(paths, most)):
                sample.add(record, document)
    found = draft(sample, called, _topic(topic, called))
    return found, parse_contract(draft_text(found), f"the draft of {called}")


def _of_each(paths: Sequence[Path], most: int) -> int:
    return max(1, most // len(paths))


def write_draft(text: str, path: Path) -> None:
    """Raises UserError INPUT_INVALID where the file is there already, or cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        message, hint = "is there already, and is not overwritten", "name another file, or remove this one"
        raise UserError(Condition.INPUT_INVALID, message, hint=hint, where=str(path)) from error
    except OSError as error:
        raise UserError(Condition.INPUT_INVALID, f"cannot be written: {error.strerror}", where=str(path)) from error


def rejections(rejected: Counter[str]) -> str:
    """How many records are rejected, and the most frequent reasons; '' where none is."""
    if not rejected:
        return ""
    reasons = [f"{n:,} × {reason}" for reason, n in rejected.most_common(SHOWN)]
    more = len(rejected) - len(reasons)
    return f"{rejected.total():,}: {', '.join(reasons)}" + (f" and {more} more reasons" if more > 0 else "")


def _head(paths: Sequence[Path], survey: Survey) -> list[str]:
    files = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
    said = rejections(survey.rejected)
    return [
        f"A draft from the first {survey.records:,} records of {files}: what it does not know, it says below.",
        f"Of these it rejects {said}" if said else "It accepts all of them.",
        "A field is required where every one of them has it: take that back where it may be missing.",
    ]


def _contract_name(name: str | None, path: Path) -> str:
    if name is not None and not NAME.fullmatch(name):
        detail = "letters, digits and _, a letter first"
        raise UserError(Condition.INPUT_INVALID, f"no contract can be named {name!r}", detail=detail)
    stem = re.match(r"[A-Za-z]+(?:[^0-9A-Za-z]+[A-Za-z]+)*", path.name.partition(".")[0])
    return name or (re.sub(r"[^A-Za-z]+", "_", stem[0]).lower() if stem else "events")


def _topic(topic: str | None, name: str) -> str:
    if topic is not None and not TOPIC.fullmatch(topic):
        detail = "letters, digits, '.', '_', '-'"
        raise UserError(Condition.INPUT_INVALID, f"no topic can be named {topic!r}", detail=detail)
    return topic or name
