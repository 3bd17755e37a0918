"""Views as they stand: what the project defines, what the lake serves of it, and which batch versions are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from seamline.entries.batch import Audit
from seamline.entries.views import Published
from seamline.history.batch import BatchHistory
from seamline.schemas.catalogue import Catalogue, unknown_view
from seamline.schemas.going_on import as_standing, recorded
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.headers import header_of
from seamline.schemas.views.project_views import Compiled, compile_for
from seamline.schemas.views.properties import tags


@dataclass(frozen=True)
class ViewState:
    """How the project's text of a view and what the lake serves stand to each other."""

    view: str
    contracts: tuple[str, ...]

    derived_from: str
    """The view it is made of, or ''."""

    state: str
    """How they stand, in words."""

    definition: str | None
    """The text's; None where the project has none."""

    served: str | None
    """The definition that is served."""

    version: int | None
    """The batch version that is served."""


@dataclass(frozen=True)
class KeptVersion:
    """A batch version that is kept."""

    definition: str
    version: int
    at: datetime
    cut: str
    counted: int

    audit: str
    """equal, drift, wrong, or nothing to compare."""

    served: bool


@dataclass(frozen=True)
class WholeView:
    """All that is known of one view; versions newest first."""

    state: ViewState
    definition: Definition
    versions: tuple[KeptVersion, ...]


def view_states(project: Project, tag: str | None = None) -> list[ViewState]:
    """The views of the project and those that the lake serves, by name; only those with a tag where it is given."""
    catalogue = Catalogue(project.lake)
    names = sorted({*project.views, *catalogue.states})
    wanted = [name for name in names if tag is None or tag in _tags(project, catalogue, name)]
    return [_state(project, name, catalogue.states.get(name)) for name in wanted]


def whole_view(project: Project, name: str) -> WholeView:
    """One view. Raises VIEW_UNKNOWN."""
    catalogue = Catalogue(project.lake)
    state = catalogue.states.get(name)
    definition = definition_of(project, catalogue, name)
    return WholeView(_state(project, name, state), definition, tuple(_versions(project, state)))


def definition_of(project: Project, catalogue: Catalogue, name: str) -> Definition:
    """The project's text of a view, else what the lake serves, compiled. Raises VIEW_UNKNOWN."""
    if name in project.views:
        return as_standing(catalogue.states.get(name), _compiled(project, name))
    state = catalogue.states.get(name)
    if state is None or state.served is None:
        raise unknown_view(name, list({*project.views, *catalogue.states}))
    return catalogue.definition(state.served)


def batch_of(project: Project, definition: str) -> BatchHistory:
    """The batch log of a definition."""
    return BatchHistory(project.lake.batch_log(definition))


def statements_of(definition: Definition) -> dict[str, str]:
    """The statements of a definition, titled: `partial`, or `partial of` each contract where there are several."""
    several = len(definition.partials) > 1
    partials = {f"partial of {name}" if several else "partial": sql for name, sql in definition.partials.items()}
    if definition.base:
        partials = {"fold": definition.base.fold, **partials}
    return {**partials, "merge": definition.merge, "finalise": definition.finalise}


def _state(project: Project, name: str, state: Published | None) -> ViewState:
    view = project.views.get(name)
    found = _compiled(project, name) if view else None
    compiled = as_standing(state, found) if found else None
    written = compiled.hash if compiled else None
    served = state.served if state else None
    if state is not None and served is None:
        word = "dropped"
    elif found is None or compiled is None:
        word = "served, not in the project"
    elif state is None:
        word = "not applied"
    elif written == served:
        word = "served" if recorded(state, found) in state.definitions else "served, texts not applied"
    else:
        built = written in state.live and batch_of(project, written or "").versions
        word = "built, not served" if built else "being built" if written in state.live else "changed, not applied"
    if state is not None and state.pinned:
        word += ", pinned"
    return ViewState(
        view=name,
        contracts=compiled.contracts if compiled else _contracts_of(state),
        derived_from=(compiled.base.view if compiled.base else "") if compiled else _base_of(state),
        state=word,
        definition=written,
        served=served,
        version=state.version if state else None,
    )


def _compiled(project: Project, name: str) -> Compiled:
    return Compiled(*compile_for(project.views[name], project.contracts, project.views))


def _tags(project: Project, catalogue: Catalogue, name: str) -> tuple[str, ...]:
    if name in project.views:
        return tags(project.views[name].properties)
    return tags(catalogue.properties(catalogue.states[name].served or ""))


def _base_of(state: Published | None) -> str:
    """The view that the served definition is derived from, or ''."""
    records = state.definitions if state else ()
    bases = next((r.bases for r in records if state and r.definition == state.served), ())
    return header_of(bases[0]).name if bases else ""


def _contracts_of(state: Published | None) -> tuple[str, ...]:
    records = state.definitions if state else ()
    return next((tuple(sorted(r.contracts)) for r in records if state and r.definition == state.served), ())


def _versions(project: Project, state: Published | None) -> list[KeptVersion]:
    """Every batch version of every definition that is kept, newest first."""
    return [
        KeptVersion(
            definition=record.definition,
            version=number,
            at=version.at.replace(microsecond=0),
            cut=str(version.cut),
            counted=version.counts.counted,
            audit=said_of(version.audit),
            served=state is not None and (state.served, state.version) == (record.definition, number),
        )
        for record in reversed(state.definitions if state else ())
        for number, version in sorted(batch_of(project, record.definition).versions.items(), reverse=True)
    ]


def said_of(audit: Audit) -> str:
    """What an audit found, in a word or three."""
    if audit.wrong:
        return "wrong"
    return "nothing to compare" if not audit.compared else "equal" if audit.clean else "drift"
