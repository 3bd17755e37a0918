"""A batch version as a view in another engine's SQL, over its Parquet files."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.errors import Condition, TransientError
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.operate.views import batch_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.views.sparksql import SparkText, spark_text
from seamline.serving.chains import served_definition, version_base


@dataclass(frozen=True)
class SparkView:
    """The served batch version of a definition, in Spark's SQL: every record below the cut, none above."""

    definition: str
    version: int
    cut: Frontier
    text: SparkText


def spark_view(project: Project, name: str) -> SparkView:
    """Raises VIEW_NOT_READY where there is no batch version yet, or one without rows: then no file says its types."""
    catalogue = Catalogue(project.lake)
    state = catalogue.history(name).state
    definition, stream = served_definition(catalogue, state) if state else (None, "")
    if state is None or definition is None or state.version is None:
        hint = f"run 'seamline batch refresh {name}': it makes one"
        raise TransientError(Condition.VIEW_NOT_READY, f"view {name} has no batch version yet", hint=hint)
    batch = batch_of(project, definition.hash)
    cut = version_base(definition, batch, state.version, SpeedHistory(project.lake.speed_log(stream))).cut
    files = [file.path for of_unit in batch.files(state.version).values() for file in of_unit]
    if not files:
        message = f"batch version {state.version} of view {name} has no rows, so no file says its types"
        raise TransientError(Condition.VIEW_NOT_READY, message, hint=f"run 'seamline batch refresh {name}' once it has")
    said = f"{name}, definition {definition.hash}, batch version {state.version}: every record below {cut}, none above"
    text = spark_text(definition, [project.lake.absolute(file) for file in files], said)
    return SparkView(definition.hash, state.version, cut, text)
