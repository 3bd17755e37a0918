"""What the page of a serving role says: each view as it is served now, from memory alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from seamline.history.batch import BatchHistory
from seamline.observe.meters import Figure
from seamline.observe.metrics import STATES
from seamline.serving.serving import Serving
from seamline.serving.status import ViewStatus


def serving_samples(serving: Serving | None, looked: datetime | None) -> Iterator[Figure]:
    """`serving`: None until the first snapshot is made; `looked`: when the ledger was looked at last."""
    if looked is not None:
        yield Figure("seamline_ledger_looked_timestamp_seconds", looked.timestamp())
    if serving is None:
        return
    for view, batch in serving.served().values():
        yield from view_samples(view)
        yield Figure("seamline_view_backfill_paused", float(serving.is_paused(view.name)), {"view": view.name})
        if batch is not None:
            yield from version_samples(view, batch)


def view_samples(view: ViewStatus) -> Iterator[Figure]:
    """How it is served."""
    labels = {"view": view.name}
    for state in STATES:
        yield Figure("seamline_view_state", float(view.state == state), {**labels, "state": state})
    yield Figure("seamline_view_version", view.version or 0, labels)
    yield Figure("seamline_view_chain_epochs", view.epochs, labels)
    yield Figure("seamline_view_chain_links", view.links, labels)
    if view.newest is not None:
        yield Figure("seamline_view_newest_timestamp_seconds", view.newest.timestamp(), labels)
    if view.audit is not None:
        yield Figure("seamline_view_drift_columns", len(view.audit.drift), labels)
        yield Figure("seamline_view_wrong_columns", len(view.audit.wrong), labels)


def version_samples(view: ViewStatus, batch: BatchHistory) -> Iterator[Figure]:
    """When its version was made, and since when a next one is being made."""
    labels = {"view": view.name}
    version = batch.versions.get(view.version) if view.version is not None else None
    if version is not None:
        yield Figure("seamline_view_version_timestamp_seconds", version.at.timestamp(), labels)
    begun = batch.begun
    if begun is not None:
        yield Figure("seamline_view_run_begun_timestamp_seconds", begun.timestamp(), labels)
