"""What every entry says of itself, the values that entries of several logs hold, and the claim of a log's writer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from seamline.attempts import new_attempt
from seamline.packs import carry, press, unpacked, unpress

FORMAT = 2
"""Major version of the entries' format; a reader refuses a newer one. Since 2 entries carry what they commit, and one
may hold others."""


class Value(BaseModel):
    """A frozen value inside an entry; keys from a newer minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


AnyValue = TypeVar("AnyValue", bound=Value)


def held(values: Iterable[Value], *without: str) -> str:
    """Values as one entry holds many, packed; `without` these of their fields."""
    return carry(press(b"\n".join(one.model_dump_json(exclude={*without}).encode() for one in values)))


def opened(kind: type[AnyValue], text: str, where: str) -> tuple[AnyValue, ...]:
    """The values that an entry holds so, in order. Raises TerminalError LEDGER_FORMAT where they are damaged."""
    return tuple(kind.model_validate_json(line) for line in unpress(unpacked(text, where), where).splitlines())


class EntryBase(Value):
    """What every entry says of itself."""

    format: int = FORMAT
    attempt: str = Field(default_factory=new_attempt)
    at: datetime

    @property
    def is_whole(self) -> bool:
        """Whether it holds all that the entries before it say, claims apart: nobody need read those."""
        return False

    @property
    def held_entries(self) -> Collection[int]:
        """The numbers of the entries that it holds, claims apart: nobody need read those."""
        return ()


class Claim(EntryBase):
    """From this entry on, only `holder` may put entries into this log."""

    kind: Literal["claim"] = "claim"
    holder: str


class Counts(Value):
    """Law 3 for one contract and one range: read = counted + rejected + duplicate + erased."""

    read: int = 0
    counted: int = 0
    rejected: int = 0
    duplicate: int = 0

    erased: int = 0
    """Those that were forgotten since, and copies of them that came later."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            read=self.read + other.read,
            counted=self.counted + other.counted,
            rejected=self.rejected + other.rejected,
            duplicate=self.duplicate + other.duplicate,
            erased=self.erased + other.erased,
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            read=self.read - other.read,
            counted=self.counted - other.counted,
            rejected=self.rejected - other.rejected,
            duplicate=self.duplicate - other.duplicate,
            erased=self.erased - other.erased,
        )

    @property
    def balanced(self) -> bool:
        """Whether the identity of law 3 holds."""
        return self.read == self.counted + self.rejected + self.duplicate + self.erased


class Stored(Value):
    """What stored the partials in an entry's files. The defaults are what wrote the entries that do not say so."""

    kernel: str = "duckdb-2.0"

    layout: int = 4
    """Of the algebra (its `LAYOUT`)."""


BEFORE = Stored()


class DataFile(Value):
    """Rows in the lake: a Parquet file, or a table of a pack."""

    path: str
    """Relative to the lake; of a pack's table its address, or nothing in the entry that names the pack."""

    rows: int
