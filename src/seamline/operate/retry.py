"""What was rejected, after its contract was mended: filed under its dates at once, and when each view has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamline.advance import Show, unshown
from seamline.clock import Clock, system_clock
from seamline.entries.views import Published
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.operate.quarantine import Rejects, Sought, rejects
from seamline.operate.viewawaits import awaited
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project
from seamline.streaming.archive.retrying import FiledAgain, file_again


@dataclass(frozen=True)
class ViewAwaits:
    """When a view that is served has what a mended contract accepts."""

    view: str

    exact: bool
    """It has all of it now."""

    when: str


@dataclass(frozen=True)
class Retried:
    """What a retry did."""

    contract: str
    filed: FiledAgain

    left: tuple[Rejects, ...]
    """What is rejected still, by reason, the most first."""

    views: tuple[ViewAwaits, ...]


def retry(project: Project, name: str, *, clock: Clock = system_clock, show: Show = unshown) -> Retried:
    """Has the contract as the project has it judge what an older decoding of it rejected. Raises CONTRACT_UNKNOWN, and
    as `file_again` does."""
    contract = project.contract(name)
    with show(f"file again what {name} rejected"):
        filed = file_again(project, contract, clock=clock)
    return Retried(name, filed, tuple(rejects(project, Sought(name))), tuple(_awaiting(project, contract)))


def _awaiting(project: Project, contract: Contract) -> Iterable[ViewAwaits]:
    catalogue = Catalogue(project.lake)
    for view, state in sorted(catalogue.states.items()):
        if state.served is None:
            continue
        reads = {one: _decodings(catalogue, one, contract.name) for one in state.live}
        if reads.get(state.served):
            yield ViewAwaits(view, *_when(project, state, contract, reads))


def _decodings(catalogue: Catalogue, definition: str, contract: str) -> frozenset[str]:
    """By which a definition reads the contract; none where it does not."""
    found = (one for one in catalogue.contracts(definition) if one.name == contract)
    return frozenset(decoding for one in found for decoding in (one.decoding, *one.earlier))


def _when(project: Project, state: Published, contract: Contract, reads: dict[str, frozenset[str]]) -> tuple[bool, str]:
    pinned = f"; it is pinned: 'seamline views unpin {state.view}' first" if state.pinned else ""
    if contract.decoding in reads[state.served or ""]:
        version = BatchHistory(project.lake.batch_log(state.served or "")).versions.get(state.version or 0)
        if version is not None and version.archive_entry >= _newest(project, contract):
            return True, f"exact now: batch version {state.version} holds all that is archived"
        return False, f"exact from its next batch version on, which 'seamline batch refresh' makes{pinned}"
    if any(contract.decoding in decodings for decodings in reads.values()):
        waits = next((one.waits for one in awaited(project) if one.view == state.view), "")
        then = f"it waits: {waits}" if waits else "'seamline batch refresh' makes it"
        return False, f"exact with the first batch version of what was applied; {then}"
    when = "read as the contract was: 'seamline views apply' takes the mended one, 'seamline contracts diff' says how"
    return False, f"{when}{pinned}"


def _newest(project: Project, contract: Contract) -> int:
    """The newest archive entry that filed again, or imported, what the contract reads."""
    history = ArchiveHistory(project.lake.archive_log(contract.stream))
    table = project.lake.raw_path(contract.name, contract.layout)
    beside = (one for one in history.touched if one.beside and (one.dates is None or table in one.dates))
    return max((one.number for one in beside), default=0)
