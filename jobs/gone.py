"""Event dates whose raw is gone: nothing computes them again, and what stands of them goes from version to version.

Where a contract's raw begins, the archive's log says (`Begins`). A version that has read every record of what is gone
can be built on for ever. Any other (a view that was dropped meanwhile and came back; one from before records of such
dates were forgotten) cannot: what is built then begins where raw does, as a new definition does, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from seamline.entries.base import DataFile
from seamline.entries.batch import Version
from seamline.errors import Condition, TerminalError
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.stored import check_version
from seamline.schemas.views.definition import Definition
from seamline.units import Unit, whole_name

GoneBefore = Mapping[str, date]
"""By raw table, the event date before which it holds nothing any more."""


def gone_of(archive: ArchiveHistory, contracts: Iterable[Contract]) -> dict[str, date]:
    """Of the tables of some contracts, as the newest entry says it."""
    return {
        Lake.raw_path(one.name, one.layout): archive.begins[one.name].date
        for one in contracts
        if one.name in archive.begins
    }


def begin_of(gone: GoneBefore) -> dict[str, date]:
    """By contract, where a version begins that is built on none."""
    return {Lake.contract_of(table): day for table, day in gone.items()}


def is_whole(by: Version, archive: ArchiveHistory, contracts: Iterable[Contract]) -> bool:
    """Whether a version holds every record of the dates that are gone, so that it can be carried on."""
    begins = (archive.begins[one.name] for one in contracts if one.name in archive.begins)
    return all(one.were_read(by.cut, by.archive_entry) for one in begins)


def is_gone(unit: Unit, contracts: Iterable[Contract], gone: GoneBefore) -> bool:
    """Whether nothing of a unit's event date is in raw any more."""
    for contract in contracts:
        if unit.contract in ("", contract.name):
            begins = gone.get(Lake.raw_path(contract.name, contract.layout))
            return begins is not None and unit.day < begins
    return False


def carried_units(
    batch: BatchHistory, kept: int | None, contracts: Iterable[Contract], gone: GoneBefore, made: Iterable[str] = ()
) -> dict[str, tuple[DataFile, ...]]:
    """Units of a version that stand though the rest of it is computed again; but for those `made` anew. Pure."""
    dates, texts = {whole_name(unit) for unit in made}, tuple(contracts)
    return {
        unit: files
        for unit, files in (batch.files(kept) if kept is not None else {}).items()
        if is_gone(Unit.parse(unit), texts, gone) and whole_name(unit) not in dates
    }


def check_carried(
    definition: Definition, batch: BatchHistory, kept: int | None, contracts: Iterable[Contract], gone: GoneBefore
) -> None:
    """Raises KERNEL_VERSION where what would be carried cannot be read: it cannot be computed again either."""
    carried = carried_units(batch, kept, contracts, gone)
    if kept is None or not any(carried.values()):
        return
    try:
        check_version(definition, batch, kept)
    except TerminalError as error:
        first, last = (edge(Unit.parse(unit).day for unit in carried) for edge in (min, max))
        raise TerminalError(
            Condition.KERNEL_VERSION,
            f"{error.message}, and raw of its event dates {first} to {last} is gone: they cannot be computed again",
            detail=error.detail,
            hint="a release that reads them serves them on; under another name, the view begins where raw does",
        ) from error


def out_of_retention(view: str, days: Iterable[date], begins: date) -> TerminalError:
    """Dates that an operator wants computed again are gone."""
    listed = sorted(days)
    return TerminalError(
        Condition.OUT_OF_RETENTION,
        f"raw of {view} is gone before {begins}: {listed[0]} to {listed[-1]} cannot be computed again",
        detail=f"event dates from {begins} on; of earlier ones stands what was computed while raw held them",
        hint=f"ask for dates from {begins} on",
    )
