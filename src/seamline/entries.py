"""The kinds of ledger entries: frozen, self-describing JSON. Entries are never edited.

Every entry says its format version, kind, the attempt that put it (to tell a lost answer from a lost race), and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from seamline.frontier import Frontier

FORMAT = 1
"""Major version of the entries' format; a reader refuses a newer one."""


def new_attempt() -> str:
    """A name no other attempt has: for entries, and for the files they list."""
    return uuid4().hex


class Value(BaseModel):
    """A frozen value inside an entry; keys from a newer minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EntryBase(Value):
    """What every entry says of itself."""

    format: int = FORMAT
    attempt: str = Field(default_factory=new_attempt)
    at: datetime


class Counts(Value):
    """Law 3 for one contract and one range: read = counted + rejected + duplicate."""

    read: int = 0
    counted: int = 0
    rejected: int = 0
    duplicate: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            read=self.read + other.read,
            counted=self.counted + other.counted,
            rejected=self.rejected + other.rejected,
            duplicate=self.duplicate + other.duplicate,
        )

    @property
    def balanced(self) -> bool:
        """Whether the identity of law 3 holds."""
        return self.read == self.counted + self.rejected + self.duplicate


class Stored(Value):
    """What stored the partials in an entry's files: the kernel, and the layout of the algebra (its `LAYOUT`). The
    defaults are what wrote the entries that do not say so."""

    kernel: str = "duckdb-2.0"
    layout: int = 4


BEFORE = Stored()


class DataFile(Value):
    """A Parquet file in the lake: its path relative to the lake, and its rows."""

    path: str
    rows: int


class Claim(EntryBase):
    """From this entry on, only `holder` may put entries into this log."""

    kind: Literal["claim"] = "claim"
    holder: str


class Memory(Value):
    """Which ids of one decoding were remembered while an epoch was made: those read at or after `start`.

    horizon: in seconds; identity: what its ids are made of; spans: from which epoch on it goes by the ids of which
    decoding, oldest first: those of the decoding that it takes the place of, then its own; start: where the first of
    these epochs begins, of the contract's topic alone; whole: nothing below it lies within a horizon of what follows.
    """

    horizon: int
    identity: str
    spans: tuple[tuple[int, str], ...]
    start: Frontier
    whole: bool

    @property
    def since(self) -> int:
        """The first epoch whose ids are remembered."""
        return self.spans[0][0]


class Epoch(EntryBase, Stored):
    """One committed micro-batch: a segment for each live definition (None where it has no rows), one range.

    `decodings` are the contract decodings that were read; `memories` are those of them that have ids (written before:
    none, and the ids of every epoch that stands). `counts` by contract; records that no contract claims stand under the
    empty name. `newest` is the latest Kafka timestamp read.
    """

    kind: Literal["epoch"] = "epoch"
    number: int
    claim: int
    decodings: tuple[str, ...] = ()
    memories: dict[str, Memory] = {}
    start: Frontier
    end: Frontier
    files: dict[str, DataFile | None]
    ids: DataFile | None = None
    counts: dict[str, Counts] = {}
    newest: datetime | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names."""
        return _paths(self.files, self.ids)


class Compacted(EntryBase, Stored):
    """Epochs `first` to `last` as one segment a definition. The epochs stay until they are retired."""

    kind: Literal["compacted"] = "compacted"
    claim: int
    first: int
    last: int
    start: Frontier
    end: Frontier
    files: dict[str, DataFile | None]
    ids: DataFile | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names."""
        return _paths(self.files, self.ids)


def _paths(files: Mapping[str, DataFile | None], ids: DataFile | None) -> tuple[str, ...]:
    return tuple(file.path for file in (*files.values(), ids) if file is not None)


class Retired(EntryBase):
    """Epochs up to `last` (and compacted segments within) are dropped from the log's readable past.

    `replaced` lists epochs dropped because a compacted segment stands for them: first, last of each.
    """

    kind: Literal["retired"] = "retired"
    claim: int
    last: int
    replaced: tuple[tuple[int, int], ...] = ()


class Imported(Value):
    """A whole file taken into the archive: one source with one partition, offsets are row numbers."""

    source: str
    contract: str
    rows: int


class Archived(EntryBase):
    """Everything in (start, end] (and whole imports) stands in the raw tables at these versions.

    `tables`: raw table path to Delta version, for every raw table of the stream. `dates`: raw table to the
    event dates this entry touched.
    """

    kind: Literal["archived"] = "archived"
    claim: int
    start: Frontier
    end: Frontier
    tables: dict[str, int]
    dates: dict[str, tuple[date, ...]]
    counts: dict[str, Counts] = {}
    imports: tuple[Imported, ...] = ()
    newest: datetime | None = None


class Maintained(EntryBase):
    """The same rows at new table versions: small files were put together, or tables taken over by a new writer."""

    kind: Literal["maintained"] = "maintained"
    claim: int
    tables: dict[str, int]


class TopicRead(Value):
    """A topic that a stream reads, or has left.

    `contracts`: YAML by the names of those that read it. `origin`: the first offsets there were when the first of both
    roles began it (a partition that came later begins at 0). `end`: where both leave it; None while a contract names
    it.
    """

    source: str
    contracts: dict[str, str]
    origin: Frontier
    end: Frontier | None = None


class Gone(Value):
    """Offsets from `start` up to `end` of one partition that Kafka has no more, as an operator has accepted, who has
    `known` them to be lost, or imported: what a role has not read of them it passes over."""

    source: str
    partition: int
    start: int
    end: int
    known: Literal["lost", "imported"]
    at: datetime

    def said(self) -> dict[str, object]:
        """As it is shown with answers and in the status."""
        topic, _, topic_id = self.source.partition("@")
        place = {"topic": topic, "id": topic_id, "partition": self.partition}
        return {**place, "start": self.start, "end": self.end, "known": self.known, "accepted": self.at.isoformat()}


class Topics(EntryBase):
    """The whole state of a stream's topics: what is read and what was left, and what was accepted as gone."""

    kind: Literal["topics"] = "topics"
    read: tuple[TopicRead, ...] = ()
    gone: tuple[Gone, ...] = ()


class Reserved(EntryBase):
    """A batch run works towards this cut; no compaction may cross it, no epoch after it go, until `until`.

    `view_entry` is the view's newest state that the run saw: once another version was served, it starts afresh.
    `folded`: as in the version it leads to.
    """

    kind: Literal["reserved"] = "reserved"
    run: str
    cut: Frontier
    until: datetime
    base: int | None = None
    archive_entry: int
    view_entry: int = 0
    folded: int | None = None


class ColumnDrift(Value):
    """One column's difference between what was served and what was recomputed, at the same cut."""

    column: str
    groups: int
    largest: str
    explained: str = ""


class Verified(Value):
    """A sample of a version's groups, computed another way, against what will be served.

    groups: of the sample; checked: of those; left: how many were not, by why; unchecked: columns that nothing else
    evaluates, by why; wrong: columns that differ, of `(group)` and `(events)` too; note: why nothing was looked at.
    """

    groups: int = 0
    checked: int = 0
    left: dict[str, int] = {}
    unchecked: dict[str, str] = {}
    wrong: tuple[ColumnDrift, ...] = ()
    note: str = ""


class Audit(Value):
    """Old version + epochs up to the new cut, against the new version at that cut (law 6), and a sample of that version
    against raw. `verified` None: written before there was one."""

    compared: bool
    groups: int = 0
    drift: tuple[ColumnDrift, ...] = ()
    explained: tuple[ColumnDrift, ...] = ()
    disagreeing_copies: int = 0
    note: str = ""
    verified: Verified | None = None

    @property
    def wrong(self) -> tuple[ColumnDrift, ...]:
        """Columns that another evaluator computes otherwise: never published without an operator's word."""
        return self.verified.wrong if self.verified else ()

    @property
    def clean(self) -> bool:
        """No difference but explained ones."""
        return not self.drift and not self.wrong


class Version(EntryBase, Stored):
    """A batch version: the segment (origin, cut] recomputed from the archive.

    `units`: unit (`seamline.units` says how they are named) to its files, for the event dates that were rewritten; the
    others still stand in `base`.
    With `complete` every unit is listed. `imports` are the sources of whole imports it holds.
    `folded`: of a view over a view, the version of its base definition whose units it was folded from; None: from raw.
    `raw`: where its audit found drift, the raw files that it was computed from (`raw.fingerprint`): while they
    stand, computing it again would give the same.
    `unit_counts` are law 3's counts of the units listed here, `counts` of all units that stand.
    """

    kind: Literal["version"] = "version"
    run: str
    cut: Frontier
    base: int | None
    complete: bool
    folded: int | None = None
    units: dict[str, tuple[DataFile, ...]]
    archive_entry: int
    imports: tuple[str, ...] = ()
    counts: Counts = Counts()
    unit_counts: dict[str, Counts] = {}
    audit: Audit = Audit(compared=False)
    kernel: str
    raw: str = ""


class DefinitionRecord(Value):
    """What is needed to compile a definition again: its SQL, and its contracts' YAML by their names.

    `bases`: the SQL of what a view over a view is derived from, nearest first.
    """

    definition: str
    sql: str
    contracts: dict[str, str]
    bases: tuple[str, ...] = ()


class Published(EntryBase):
    """The whole state of one view: its definitions, and which definition and batch version is served.

    `served` None: nothing is served yet. `version` None: served from the stream's origin by epochs alone.
    A definition in `live` gets epochs; a dropped view has none, and `dropped` is what it served at last (definition,
    version): the same definition, applied again, goes on from there.
    """

    kind: Literal["published"] = "published"
    view: str
    definitions: tuple[DefinitionRecord, ...]
    live: tuple[str, ...]
    served: str | None
    version: int | None
    dropped: tuple[str, int | None] | None = None
    reason: str = ""


class Withdrawn(EntryBase):
    """Batch versions of a definition with numbers below `below` are never served again, and may be removed.

    It stands twice, and retention removes only what both say: in the view's log, between two states, so that what is
    served next has seen it; then in the definition's batch log, so that a run that had not seen it puts nothing.
    """

    kind: Literal["withdrawn"] = "withdrawn"
    definition: str
    below: int


Entry = Annotated[
    Claim | Epoch | Compacted | Retired | Archived | Maintained | Topics | Reserved | Version | Published | Withdrawn,
    Field(discriminator="kind"),
]
