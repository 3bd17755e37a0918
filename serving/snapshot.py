"""Snapshots: what is served at one moment, as frozen values, each view with all that is merged to answer for it.

A snapshot of a view is a base (a batch version's files, or the stream's origin) and runs of epochs after its cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256

import pyarrow as pa

from seamline.entries.topics import Gone
from seamline.errors import Condition, SeamlineError, UserError
from seamline.history.forget import Forgetting
from seamline.kernel import fold
from seamline.schemas.catalogue import unknown_view
from seamline.schemas.views.definition import Definition
from seamline.segment import Chain
from seamline.serving.bounds import BatchFiles, Paths
from seamline.serving.callers import Caller, RowRule
from seamline.serving.chains import ChainBase
from seamline.serving.provenance import Provenance
from seamline.serving.tail import Runs


@dataclass(frozen=True)
class ServedView:
    """One view of a snapshot: what it is, and all that is merged to answer for it. Nothing in it ever changes."""

    definition: Definition
    stream: str
    base: ChainBase
    batch: pa.Table | BatchFiles | None = field(repr=False)
    runs: Runs = field(repr=False)
    newest: datetime | None = None
    committed: datetime | None = None
    gone: tuple[Gone, ...] = ()
    erased: Forgetting | None = None

    back_to: int | None = None
    """The first epoch from which on each can be asked for."""

    epoch: int = 0
    """The last epoch of its stream that the answer covers; 0 before the first."""

    where: str = ""
    """Which of its rows are to be seen: a condition over its keys; all where there is none."""

    @property
    def chain(self) -> Chain:
        """The chain the answer comes from; its links are the runs in memory."""
        links = tuple(run.segment for run in self.runs)
        return Chain(self.definition.hash, self.base.version, self.base.cut, links)

    @property
    def is_unread(self) -> bool:
        """Whether no record of its stream was read yet, and no batch version stands."""
        return self.base.version is None and not self.runs

    @cached_property
    def speed(self) -> pa.Table | None:
        """The partial rows of every run, without copying them; None where there are none."""
        tables = [run.table for run in self.runs if run.table.num_rows]
        return pa.concat_tables(tables) if tables else None

    def in_memory(self, paths: Paths | None) -> pa.Table | None:
        """The batch partials of some files, or of all, where they are in memory."""
        if isinstance(self.batch, BatchFiles):
            return self.batch.table(paths) if self.batch.held else None
        return self.batch

    def opened(self, paths: Paths | None) -> Paths | None:
        """The same paths, where there are files to be opened."""
        return paths if isinstance(self.batch, BatchFiles) and not self.batch.held else None

    @cached_property
    def mark(self) -> str:
        """Changes with whatever an answer over it depends on, and with what it says of itself but for its lag."""
        chain = self.chain
        links = [(link.first, link.last, link.rows) for link in chain.segments]
        said = (chain.definition, chain.version, chain.reached.to_json(), links, self.base, self.back_to, self.where)
        return repr((said, self.gone, self.erased))

    def provenance(self, asked: datetime) -> Provenance:
        """What an answer over this view says of itself."""
        return Provenance.of(
            self.definition, self.stream, self.chain, asked, newest=self.newest, committed=self.committed,
            gone=self.gone, erased=self.erased, verified=self.base.verified, back_to=self.back_to,
            skipped=self.base.skipped, begins=self.base.begins,
        )  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """Every view at one moment, or as of one epoch. A view that cannot answer holds its error instead."""

    views: Mapping[str, ServedView | SeamlineError]
    as_of: int | None = None

    @cached_property
    def files(self) -> frozenset[str]:
        """The files that its answers are read from in place: all that a query over it can open."""
        served = [view for view in self.views.values() if isinstance(view, ServedView)]
        return frozenset(path for one in served if isinstance(one.batch, BatchFiles) for path in one.batch.paths)

    def seen_by(self, caller: Caller) -> Snapshot:
        """What of it somebody may ask: no other view is in it, its files neither, and of each the rows they see."""
        rules = dict(caller.rows)
        if caller.views is None and not rules:
            return self
        seen = {name: one for name, one in self.views.items() if caller.views is None or name in caller.views}
        return Snapshot({name: _limited(one, rules.get(name)) for name, one in seen.items()}, self.as_of)

    @property
    def mark(self) -> str:
        """Changes with whatever an answer over it depends on."""
        found = {name: one.mark if isinstance(one, ServedView) else str(one) for name, one in self.views.items()}
        return sha256(repr((self.as_of, sorted(found.items()))).encode()).hexdigest()

    def view(self, name: str) -> ServedView:
        """A view. Raises VIEW_UNKNOWN, or why it cannot answer: VIEW_NOT_READY, SEAM_HOLE, KERNEL_VERSION, …"""
        found = self.views.get(name)
        if found is None:
            raise unknown_view(name, list(self.views))
        if isinstance(found, SeamlineError):
            raise _again(found)
        return found

    def chain(self, view: str) -> Chain:
        """The chain that answers for a view. Raises like `view`."""
        return self.view(view).chain


def _limited(view: ServedView | SeamlineError, rule: RowRule | None) -> ServedView | SeamlineError:
    if rule is None or isinstance(view, SeamlineError):
        return view
    definition = view.definition
    keys = {fold(one.name) for one in definition.keys} & {fold(one.name) for one in definition.columns}
    if others := rule.columns - keys:
        return UserError(
            Condition.CONFIG_INVALID,
            f"the policy of view {definition.view} names {', '.join(sorted(others))}",
            detail=f"keys of the view: {', '.join(sorted(keys)) or '(it has none)'}",
            hint=f"who operates this role corrects policies/{definition.view}.sql",
        )
    return replace(view, where=rule.where)


def _again(error: SeamlineError) -> SeamlineError:
    """A fresh one for each raise: tracebacks of many threads must not pile up on one that is kept."""
    return type(error)(error.condition, error.message, detail=error.detail, hint=error.hint, where=error.where)
