"""Events as OpenLineage's client has them. It is an extra, so it is imported by name, where an event is to be sent."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

import seamline
from seamline.observe.lineage import LineageDataset, LineageEvent

log = logging.getLogger(__name__)

PARENT, ROOT = "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"
"""What has started this process, as OpenLineage's integrations pass it on: `namespace/job/run id`."""

NAMESPACE = "OPENLINEAGE_NAMESPACE"
"""Where jobs belong; else it is their lake."""


class OpenLineage:
    """OpenLineage's client, configured by its own variables and file."""

    def __init__(self) -> None:
        self._types = import_module("openlineage.client.event_v2")
        self._facets = import_module("openlineage.client.facet_v2")
        self._facets.set_producer(f"urn:seamline:{seamline.__version__}")
        self._client = import_module("openlineage.client").OpenLineageClient()
        self._parent = self._started_by(os.environ.get(PARENT, ""), os.environ.get(ROOT, ""))

    def send(self, event: LineageEvent) -> None:
        """Raises whatever its transport raises."""
        self._client.emit(self._as_sent(event, os.environ.get(NAMESPACE) or event.job.lake))

    def close(self) -> None:
        """Lets the transport end."""
        self._client.close()

    def _as_sent(self, event: LineageEvent, namespace: str) -> Any:
        types, facets = self._types, self._facets
        engine = facets.processing_engine_run.ProcessingEngineRunFacet(seamline.__version__, "Seamline")
        about = {"processing_engine": engine, **self._parent}
        if event.error:
            about["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(event.error, "PYTHON")
        kind = facets.job_type_job.JobTypeJobFacet(event.job.kind, "SEAMLINE", "JOB")
        return types.RunEvent(
            eventType=types.RunState[event.state],
            eventTime=event.at.isoformat(),
            run=types.Run(event.run, about),
            job=types.Job(namespace, event.job.name, {"jobType": kind}),
            inputs=[types.InputDataset(one.namespace, one.name, facets=self._said(one)) for one in event.read],
            outputs=[types.OutputDataset(one.namespace, one.name, facets=self._said(one)) for one in event.made],
        )

    def _started_by(self, parent: str, root: str) -> dict[str, Any]:
        """The facet that says it; none where nobody says it, or it cannot be read, of which a warning tells."""
        of = self._facets.parent_run
        if not parent:
            return {}
        try:
            namespace, job, run = parent.rsplit("/", 2)
            top, name, id_ = root.rsplit("/", 2) if root else ("", "", "")
            above = of.Root(of.RootRun(id_), of.RootJob(top, name)) if root else None
            return {"parent": of.ParentRunFacet(of.Run(run), of.Job(namespace, job), above)}
        except ValueError:
            log.warning("%s or %s is no 'namespace/job/run id': lineage is told without it", PARENT, ROOT)
            return {}

    def _said(self, one: LineageDataset) -> dict[str, Any]:
        """A dataset's columns, and what each is made of."""
        schema, lineage = self._facets.schema_dataset, self._facets.column_lineage_dataset
        fields = [
            schema.SchemaDatasetFacetFields(name, type_, about or None, number)
            for number, (name, type_, about) in enumerate(one.columns, start=1)
        ]
        said = {"schema": schema.SchemaDatasetFacet(fields)}
        made = {
            column: lineage.Fields(
                [
                    lineage.InputField(of.namespace, of.name, of.column, [lineage.Transformation("DIRECT", of.how)])
                    for of in origins
                ]
            )
            for column, origins in one.origins.items()
        }
        return {**said, "columnLineage": lineage.ColumnLineageDatasetFacet(made)} if made else said
