"""What a view stores and what that costs, reckoned from its types and measured in the lake."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.operate.views import batch_of, definition_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.views.cost import Cost, bytes_said, cost
from seamline.schemas.views.definition import Definition


@dataclass(frozen=True)
class VersionSize:
    """What a batch version of a definition holds: its files, their bytes, their partial rows."""

    version: int
    files: int
    rows: int
    bytes: int

    @property
    def words(self) -> str:
        """In one line."""
        what = (
            f"batch version {self.version}: {self.rows:,} partial rows in {self.files} files, {bytes_said(self.bytes)}"
        )
        return what + (f", {self.bytes / self.rows:.1f} bytes each" if self.rows else "")


@dataclass(frozen=True)
class Explained:
    """How one view is kept."""

    definition: Definition
    cost: Cost

    measured: VersionSize | None
    """None where there is no batch version."""


def explain_view(project: Project, name: str) -> Explained:
    """The project's text of a view, else what the lake serves. Raises VIEW_UNKNOWN."""
    definition = definition_of(project, Catalogue(project.lake), name)
    return Explained(definition, cost(definition), _measured(project, definition))


def _measured(project: Project, definition: Definition) -> VersionSize | None:
    """The newest batch version's files as they lie in the lake; None where there is none."""
    history = batch_of(project, definition.hash)
    if not history.versions:
        return None
    number = max(history.versions)
    files = {file.path: file.rows for of_unit in history.files(number).values() for file in of_unit}
    listed = project.lake.listed(project.lake.batch_prefix(definition.hash))
    sizes = {item["path"]: item["size"] for item in listed if item["path"] in files}
    return VersionSize(number, len(files), sum(files.values()), sum(sizes.values()))
