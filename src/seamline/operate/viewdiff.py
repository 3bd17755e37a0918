"""The project's text of a view against what is served, and what the change needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from seamline.entries.views import Published
from seamline.errors import Condition, UserError
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.schemas.catalogue import Catalogue, unknown_view
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.going_on import as_standing, goes_on
from seamline.schemas.handovers import able
from seamline.schemas.project import Project
from seamline.schemas.views.cost import bytes_said
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.diff import Difference, Side, compare
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.project_views import Compiled, compile_for
from seamline.schemas.views.text import parse_views
from seamline.sides.raw import RawFile, by_day, raw_files


@dataclass(frozen=True)
class ViewDifference:
    """One view's difference from what is served."""

    view: str

    old: str | None
    """None: nothing is served."""

    new: str | None
    difference: Difference
    state: str

    raw: tuple[int, int] | None = None
    """Event dates and bytes to read again."""

    begins: Mapping[str, date] = field(default_factory=dict)
    """By contract of which raw is gone, the event date that a rebuild would begin at."""

    @property
    def words(self) -> str:
        """What it needs, in a line."""
        if self.new is None:
            return f"nothing; 'seamline views drop {self.view}' takes it out of service"
        if self.state:
            return self.state
        held = f": {self.raw[0]} event dates, {bytes_said(self.raw[1])} of raw" if self.raw else ""
        held += "".join(f", {one}" for one in self._begun)
        return {
            "nothing": "nothing: it is what is served",
            "apply": "'seamline views apply' takes it over: nothing is rebuilt"
            if self.old
            else f"'seamline views apply' puts it into service, {self._from}",
            "rebuild": f"a rebuild{held}. 'seamline views apply' has it built beside the served definition",
            "another name": f"a build of its own{held}: a definition carries its view's name. Then drop the old name",
        }[self.difference.needs]

    @property
    def _begun(self) -> list[str]:
        return [f"of {name} from {day} on alone" for name, day in sorted(self.begins.items())]

    @property
    def _from(self) -> str:
        return ", ".join(self._begun) or "from the stream's first record on"


def differences(project: Project, what: str | None = None) -> list[ViewDifference]:
    """Views of the project, or of a file, beside what is served; every view where nothing is named.

    Raises VIEW_UNKNOWN, and INPUT_INVALID where a file cannot be read.
    """
    catalogue = Catalogue(project.lake)
    return [_difference(project, catalogue, name, view) for name, view in _wanted(project, catalogue, what).items()]


def _wanted(project: Project, catalogue: Catalogue, what: str | None) -> dict[str, ParsedView | None]:
    """The texts to compare, by name; None for a view that is served and stands nowhere. Raises VIEW_UNKNOWN."""
    if what is not None and (what.endswith(".sql") or Path(what).is_file()):
        return {view.name: view for view in parse_views(_text(Path(what)), what)}
    states = catalogue.states
    served = {name for name, state in states.items() if state.served is not None}
    if what is None:
        return {name: project.views.get(name) for name in sorted({*project.views, *served})}
    if what not in project.views and what not in served:
        raise unknown_view(what, list({*project.views, *states}))
    return {what: project.views.get(what)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        detail = "a file of views, or a view's name"
        raise UserError(Condition.INPUT_INVALID, f"cannot read {path}: {error}", detail=detail) from error


def _difference(project: Project, catalogue: Catalogue, name: str, view: ParsedView | None) -> ViewDifference:
    state = catalogue.states.get(name)
    served = state.served if state is not None else None
    if view is None:
        return ViewDifference(name, served, None, Difference((), "nothing"), "")
    compiled = Compiled(*compile_for(view, project.contracts, project.views))
    definition, contracts = as_standing(state, compiled), compiled.contracts
    new = Side(definition, contracts, definition.hash)
    old = _side(catalogue, served) if served is not None else _namesake(catalogue, new)
    difference = compare(old, new) if old is not None else Difference((), "apply")
    costly = difference.needs in ("rebuild", "another name")
    raw = _raw(project, contracts) if costly and definition.base is None else None
    begins = first_dates(project, catalogue, definition, contracts) if costly or old is None else {}
    return ViewDifference(
        name, old.hash if old else None, new.hash, difference, _being(state, compiled) if costly else "", raw, begins
    )


def _side(catalogue: Catalogue, hash_: str) -> Side:
    return Side(catalogue.definition(hash_), catalogue.contracts(hash_), hash_)


def _namesake(catalogue: Catalogue, new: Side) -> Side | None:
    """A served definition that is the same but for the view's name."""
    for state in catalogue.states.values():
        if state.served is not None:
            old = _side(catalogue, state.served)
            if compare(old, new).needs == "another name":
                return old
    return None


def _being(state: Published | None, new: Compiled) -> str:
    """Whether the changed definition is live already, or may turn out to be none, in words."""
    if state is not None and goes_on(state, new) is not None:
        return "nothing more: it was applied, and is switched to with its next batch version"
    if able(state, new) is not None:
        return (
            "a rebuild, or nothing where no archived record is judged otherwise: 'seamline contracts diff' looks"
            " through the archive, as 'seamline views apply' does"
        )
    return ""


def first_dates(
    project: Project, catalogue: Catalogue, definition: Definition, contracts: Iterable[Contract]
) -> Mapping[str, date]:
    """Where a first version begins: where raw does, or where the version does that it is folded from."""
    if definition.base is not None:
        state = catalogue.states.get(definition.base.view)
        if state is not None and state.served == definition.base.definition and state.version is not None:
            return BatchHistory(project.lake.batch_log(state.served)).versions[state.version].begins
    found = {one.name: ArchiveHistory(project.lake.archive_log(one.stream)).first_date(one.name) for one in contracts}
    return {name: day for name, day in found.items() if day is not None}


def _raw(project: Project, contracts: Iterable[Contract]) -> tuple[int, int] | None:
    """Event dates and bytes of the raw tables, as the archive's newest entry has them; None where unknown."""
    files = list[RawFile]()
    for contract in contracts:
        table = project.lake.raw_path(contract.name, contract.layout)
        version = ArchiveHistory(project.lake.archive_log(contract.stream)).tables.get(table)
        files += raw_files(project.lake, table, version)
    return (len(by_day(tuple(files))), sum(file.size for file in files)) if files else None
