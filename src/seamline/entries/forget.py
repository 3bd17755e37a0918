"""Entries of a stream's forget log: whose records shall go, and how far that has come.

None holds a value: what a request asks for is a salted hash, and what it has found are positions and the hashes by
which copies are known.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from seamline.entries.base import Counts, EntryBase
from seamline.frontier import Frontier

FORGOTTEN = ("_source", "_partition", "_offset", "_id_hi", "_id_lo")
"""The columns of a request's file: a record's position, and what tells copies of it, NULL where nothing does."""


class Forget(EntryBase):
    """Records that shall go: all below `until`, and whole `imports`, in which a field has one of some values. Copies of
    them that come later go, too."""

    kind: Literal["forget"] = "forget"
    contract: str
    field: str

    salt: str

    values: tuple[str, ...]
    """Hashes of the salt and each value, as text."""

    until: Frontier
    archive_entry: int
    """The archive's newest entry when it was looked for them: raw reached `until`."""

    imports: tuple[str, ...] = ()
    """The sources of whole imports that stood in raw then."""

    file: str
    """A Parquet file with FORGOTTEN of each record that was found."""

    dates: dict[str, tuple[date, ...]]
    """By raw table, the event dates that those records count in."""

    days: dict[date, int] = {}
    """How many of them count on which event date."""

    counts: Counts
    """Of the records that were found."""

    drop_gone: bool = False
    """Whether it was asked that what stands of event dates goes too whose raw is gone: nobody can compute it without
    those records, or tell whether it holds any."""

    withhold: bool = False
    """Whether views of the contract are not answered until they are without those records."""


class Cleared(EntryBase):
    """What every live definition of the stream serves was computed without the records of some requests, and nothing
    below it is served again: the files that held them may go, and so may epochs that end at or before `cut`."""

    kind: Literal["cleared"] = "cleared"
    requests: tuple[int, ...]
    """By their entries' numbers."""

    cut: Frontier

    versions: dict[str, int]
    """By definition, the lowest batch version that is not withdrawn."""


class Forgotten(EntryBase):
    """The records of some requests stand nowhere in the lake any more, as a look through it has found."""

    kind: Literal["forgotten"] = "forgotten"
    requests: tuple[int, ...]
