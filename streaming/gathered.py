"""What the tasks of one micro-batch found, put together: the driver's view of it. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from seamline.entries.base import Counts
from seamline.frontier import START, Frontier, Partition, joined
from seamline.ipc import from_ipc
from seamline.streaming.tasks import IDS, Row

Named = list[tuple[str, pa.Table]]
"""Tables in the order in which tasks gave them, by the names of their rows."""


@dataclass(frozen=True)
class Gathered:
    """All tasks' results."""

    partials: Mapping[tuple[str, str], list[pa.Table]] = field(default_factory=dict)
    """By definition and decoding; none without rows."""

    events: Mapping[str, list[pa.Table]] = field(default_factory=dict)
    """By decoding, as far as tasks sent theirs along."""

    ids: pa.Table = field(default_factory=IDS.empty_table)
    """Like IDS."""

    read: Mapping[str, int] = field(default_factory=dict)
    """Records, by label."""

    rejected: Mapping[str, int] = field(default_factory=dict)
    """Those of them that were rejected."""

    erased: Mapping[str, int] = field(default_factory=dict)
    """Those that are copies of records that were forgotten."""

    end: Frontier = START
    """The next offset to read, of every partition that was read."""

    newest: Mapping[Partition, datetime] = field(default_factory=dict)
    """The latest Kafka timestamp of each partition that has any."""

    files: Sequence[dict[str, Any]] = ()
    """What the archive's tasks wrote: the fields of a `RawFile` each."""

    @property
    def latest(self) -> datetime | None:
        """The latest Kafka timestamp read."""
        return max(self.newest.values(), default=None)

    @property
    def filed(self) -> dict[str, Counts]:
        """Law 3's counts by label, where copies are counted like others."""
        return {
            label: Counts(
                read=read, rejected=self.rejected[label], erased=self.erased[label],
                counted=read - self.rejected[label] - self.erased[label],
            )
            for label, read in sorted(self.read.items())
        }  # fmt: skip


def gather(rows: Iterable[Row]) -> Gathered:
    """Puts the rows of all tasks together."""
    of = defaultdict[str, Named](list)
    for kind, name, payload in rows:
        of[kind].append((name, from_ipc(payload)))
    ids = [table for _, table in of["ids"]]
    ranges = [(Partition(one["source"], one["partition"]), one) for one in _listed(of["range"])]
    newest: dict[Partition, datetime] = {}
    for at, one in ranges:
        if one["timestamp_max"] is not None:
            newest[at] = max(one["timestamp_max"], newest.get(at, one["timestamp_max"]))
    partials = ((name.partition("/"), made) for name, made in _by_name(of["partial"]).items())
    return Gathered(
        partials={(parts[0], parts[2]): made for parts, made in partials},
        events=_by_name(of["events"]),
        ids=pa.concat_tables(ids) if ids else IDS.empty_table(),
        read=_summed(of["tally"], "read"),
        rejected=_summed(of["tally"], "rejected"),
        erased=_summed(of["tally"], "erased"),
        end=joined(Frontier({at: one["offset_max"] + 1}) for at, one in ranges),
        newest=newest,
        files=_listed(of["file"]),
    )


def _listed(named: Named) -> list[dict[str, Any]]:
    return [row for _, table in named for row in table.to_pylist()]


def _by_name(named: Named) -> dict[str, list[pa.Table]]:
    """Tables with rows, by name."""
    found: dict[str, list[pa.Table]] = {}
    for name, table in named:
        if table.num_rows:
            found.setdefault(name, []).append(table)
    return found


def _summed(tallies: Named, column: str) -> dict[str, int]:
    """By label; every label that has a tally is there, also with zero."""
    found = Counter[str]()
    for label, tally in tallies:
        found[label] += tally[column][0].as_py()
    return dict(found)
