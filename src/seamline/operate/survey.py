"""A look at whole files before anything of them is sent or archived: can they be read, and what would be rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from seamline.advance import Advance, Say, unsaid, unseen
from seamline.kernel import Kernel
from seamline.operate.csvrows import NamedFields
from seamline.operate.event_files import EventFile, shift
from seamline.operate.event_sources import EventSource
from seamline.portions import in_portions, lists_of, portion_bytes
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import decode_statement

ROWS, BYTES = 20_000, 8 << 20
"""Records and bytes that are judged at once."""

SHOWN = 8
"""Reasons that are named."""


@dataclass(frozen=True)
class Rejection:
    """Records of files that a contract rejects for one reason."""

    reason: str
    records: int

    first: str
    """Where the first of them stands: its file, and its number there from 1 on."""


@dataclass
class Survey:
    """What files hold: counted up by `add`."""

    records: int = 0

    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""

    first: dict[str, str] = field(default_factory=dict)
    """Where each reason is met first."""

    unclaimed: int = 0
    """Records that the contract's discriminator leaves to others."""

    longest: tuple[int, str] = (0, "")
    """Bytes of the largest record, and where it stands."""

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """The most first."""
        return tuple(Rejection(reason, n, self.first[reason]) for reason, n in self.rejected.most_common())

    def add(self, engine: Kernel, judged: str, records: pa.Table, place: Callable[[int], str]) -> None:
        """Records, by a statement that gives reasons, '' for none, with how many have each and the number of the first;
        `place`: where the record of a number stands."""
        lengths = pc.binary_length(records["value"]).to_pylist()
        self.records += records.num_rows
        self.longest = max(self.longest, (max(lengths), place(lengths.index(max(lengths)))))
        self.unclaimed += records.num_rows
        for found in in_portions(lambda one: engine.run(judged, {"records": one}), records, portion_bytes(engine)):
            for reason, n, first in zip(*(found[name].to_pylist() for name in ("reason", "n", "first")), strict=True):
                self.unclaimed -= n
                self.rejected.update({reason: n} if reason else {})
                self.first.setdefault(reason, place(first))


def check_files(paths: Iterable[Path | EventSource], contract: Contract, say: Say = unsaid) -> None:
    """Reads all files to their ends, and says which columns are no field. Raises UserError INPUT_INVALID."""
    paths = list(paths)
    check_names(paths)
    for path in paths:
        with EventFile(path) as file:
            contents = file.read(contract)
            for _ in contents.records:
                pass
        if contents.header:
            _say_columns(path, contents.header, contract, say)


def check_names(paths: Iterable[Path | EventSource]) -> None:
    """All files can be opened. Raises UserError INPUT_INVALID."""
    for path in paths:
        with EventFile(path):
            pass


def judge_files(
    paths: Iterable[Path | EventSource],
    contract: Contract,
    siblings: Sequence[Contract],
    engine: Kernel,
    now: datetime,
    by: timedelta = timedelta(),
    advance: Advance = unseen,
    say: Say = unsaid,
    most: int | None = None,
) -> Survey:
    """What the contract says of every record, event times moved `by`, were it sent `now`; one pass over whole files,
    or over the first `most` records of each.

    siblings: the contracts of its topic. Raises UserError INPUT_INVALID as `check_files` does.
    """
    decoded = decode_statement(contract, siblings)
    counted = "coalesce(_reject, '') AS reason, count(*) AS n, min(_offset) AS first"
    judged = f"SELECT {counted} FROM ({decoded}) GROUP BY 1 ORDER BY first"  # of as many, what is met first comes first
    survey = Survey()
    for path in paths:
        with EventFile(path) as file:
            contents, before, seen = file.read(contract), 0, 0
            for values in lists_of(islice(contents.records, most), ROWS, BYTES):
                moved = [shift(value, contract, by) for value in values] if by else values
                survey.add(engine, judged, record_table(moved, now), partial(place_of, path, seen))
                seen += len(moved)
                advance(file.done - before, f"{survey.records} records looked at")
                before = file.done
        if contents.header:
            _say_columns(path, contents.header, contract, say)
    return survey


def place_of(path: Path | EventSource, before: int, number: int) -> str:
    """Where a record stands: `number` is from 0 on, after `before` others of its file."""
    return f"{path}: record {before + number + 1}"


def _say_columns(path: Path | EventSource, header: NamedFields, contract: Contract, say: Say) -> None:
    """Names columns that are no field and fields that are no column: both are often a slip."""
    if header.unknown:
        say(f"{path}: no field of {contract.name}: column {', '.join(map(repr, header.unknown))}")
    if header.lacking:
        say(f"{path}: no column for {', '.join(header.lacking)}")
    event_id = contract.event_id and contract.field(contract.event_id).key
    if event_id in header.lacking:
        say(f"{path}: without the event id {event_id} copies of these events count again")


def say_rejected(survey: Survey, contract: Contract, say: Say) -> None:
    """What will not count, and why."""
    if survey.rejected:
        reasons = [f"{n} × {reason}" for reason, n in survey.rejected.most_common(SHOWN)]
        more = len(survey.rejected) - len(reasons)
        listed = ", ".join(reasons) + (f" and {more} more reasons" if more > 0 else "")
        say(f"{survey.rejected.total()} of {survey.records} records will be rejected: {listed}")
        say(f"they are sent as they are; the archive keeps them until {contract.name} is mended")
    if survey.unclaimed:
        named = contract.discriminator
        wanted = f"{'.'.join(named.path)} is not {named.value!r}" if named else "another contract's"
        say(f"{survey.unclaimed} of {survey.records} records are not events of {contract.name}: {wanted}")


def record_table(values: Sequence[bytes], now: datetime) -> pa.Table:
    """Records as decode statements read them: numbered from 0, with `now` as their Kafka timestamp."""
    rows = len(values)
    return pa.table(
        {
            "source": pa.array(["file"] * rows, pa.string()),
            "partition": pa.array([0] * rows, pa.int32()),
            "offset": pa.array(range(rows), pa.int64()),
            "timestamp": pa.array([now] * rows, pa.timestamp("us", "UTC")),
            "key": pa.nulls(rows, pa.binary()),
            "value": pa.array(values, pa.binary()),
        }
    )
