"""Files of events straight into the archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seamline.advance import Advance, Say, Show, unsaid, unshown
from seamline.entries.base import Counts
from seamline.operate.event_files import EventFile
from seamline.operate.event_sources import EventSource, sources
from seamline.operate.survey import Rejection, check_files, place_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project
from seamline.streaming.archive.importing import import_events


@dataclass(frozen=True)
class Taken:
    """What became of one file."""

    file: str

    already: bool
    """It was imported before, so nothing was done."""

    counts: Counts
    source: str

    rejected: tuple[Rejection, ...]
    """By reason, the most first."""


def import_files(
    project: Project,
    files: Sequence[Path],
    contract: Contract,
    *,
    kind: str = "",
    show: Show = unshown,
    say: Say = unsaid,
) -> list[Taken]:
    """Takes files into the archive, each in an entry of its own; none before all were read whole.

    A file is known by its content, a member of a zip file by its own. `kind`: the format of `-`, as `sources` takes it.
    Raises UserError INPUT_INVALID where one cannot be read.
    """
    done = []
    with sources(files, kind, say=say) as found:
        check_files(found, contract, say)
        for file in found:
            with show(f"import {Path(file.name).name}", file.size * 2) as advance:
                taken = import_events(project, contract.name, lambda file=file, by=advance: _values(file, contract, by))  # type: ignore[misc]
            rejected = tuple(
                Rejection(reason, records, place_of(file, 0, first))
                for reason, (records, first) in taken.rejected.items()
            )
            done.append(Taken(file.name, taken.already, taken.counts, taken.source, rejected))
    return done


def is_viewed(project: Project, contract: str) -> bool:
    """Whether a view that is served reads the contract, so that its events become part of an answer."""
    served = [state for state in Catalogue(project.lake).states.values() if state.served]
    return any(contract in record.contracts for state in served for record in state.definitions)


def _values(path: EventSource, contract: Contract, advance: Advance) -> Iterator[bytes]:
    """The records of one file, from the first on; tells the bytes read. An import reads twice: hash, then rows."""
    with EventFile(path) as file:
        before = 0
        for number, value in enumerate(file.read(contract).records):
            yield value
            if number % 1000 == 0:
                advance(file.done - before, f"{number} records")
                before = file.done
        advance(file.done - before)
