"""Every metric there is, in one table: what is registered, documented and drawn is made of it.

Names and units are as Prometheus' conventions ask. A label's values are bounded by the project (its streams, contracts,
views and roles) or by a list in the source (steps, outcomes, kinds): never by records, epochs or versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

MetricKind = Literal["gauge", "counter", "histogram"]

SPEED, ARCHIVE, SCHEDULER, SERVING, UP = "speed", "archive", "scheduler", "serving", "up"
BOTH, ALL = (SPEED, ARCHIVE), (SPEED, ARCHIVE, SCHEDULER, SERVING, UP)

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds, of an epoch's step or a query."""

LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds, of a batch run."""

STATES = ("ready", "not ready", "hole", "overlap", "dropped", "failed")
"""What a view can be (serving/status.py)."""


@dataclass(frozen=True)
class Metric:
    """One of them."""

    name: str

    kind: MetricKind

    help: str
    """In a sentence."""

    labels: tuple[str, ...]

    roles: tuple[str, ...]
    """Whose pages have it."""

    buckets: tuple[float, ...] = ()
    """Upper bounds, of a histogram."""


_ALL = (
    Metric("seamline_build_info", "gauge", "The version that runs: always 1.", ("version",), ALL),
    Metric("seamline_reader_failed", "gauge", "Whether a group of figures could not be read now (1) or was (0).",
           ("reader",), ALL),
    # streams
    Metric("seamline_stream_lag_records", "gauge",
           "Offsets from where the layer stands in the ledger to Kafka's ends; absent where Kafka does not say them.",
           ("stream", "layer"), BOTH),
    Metric("seamline_stream_newest_timestamp_seconds", "gauge",
           "The latest Kafka timestamp of the records that epochs hold: how fresh answers can be.", ("stream",),
           (SPEED,)),
    Metric("seamline_stream_committed_timestamp_seconds", "gauge", "When the newest epoch was committed.", ("stream",),
           (SPEED,)),
    Metric("seamline_stream_epoch", "gauge", "The number of the newest epoch.", ("stream",), (SPEED,)),
    Metric("seamline_records_read_total", "counter",
           "Records read into epochs since the process began; the contract is (unclaimed) where none claims them.",
           ("stream", "contract"), (SPEED,)),
    Metric("seamline_records_total", "counter",
           "The same by outcome: counted, rejected or duplicate, which add up to those read.",
           ("stream", "contract", "outcome"), (SPEED,)),
    Metric("seamline_sla_missed", "gauge",
           "Whether a promise of a contract or view is missed (1) or kept (0): freshness or completeness; absent where "
           "that is not known.", ("product", "promise"), (SPEED,)),
    Metric("seamline_sla_freshness_seconds", "gauge",
           "How old the newest record read is while others wait in Kafka; 0 where none does.", ("product",), (SPEED,)),
    Metric("seamline_sla_freshness_limit_seconds", "gauge", "How old it is promised to be at most.", ("product",),
           (SPEED,)),
    Metric("seamline_sla_completeness_ratio", "gauge", "Which share of the records read is valid.", ("product",),
           (SPEED,)),
    Metric("seamline_sla_completeness_limit_ratio", "gauge", "Which share is promised to be valid at least.",
           ("product",), (SPEED,)),
    Metric("seamline_archived_records", "gauge",
           "Records that raw holds, by outcome: counted or rejected, copies included. What a mended contract accepts "
           "moves from the one to the other.", ("stream", "contract", "outcome"), (ARCHIVE,)),
    Metric("seamline_epoch_duration_seconds", "histogram",
           "Of a micro-batch of the speed layer: its outcome is ok, empty, or the condition that it failed with.",
           ("stream", "outcome"), (SPEED,), SHORT),
    Metric("seamline_epoch_step_duration_seconds", "histogram",
           "Of its steps: read (decode and aggregate, in Spark's tasks), dedup, remake (without copies), write, put.",
           ("stream", "step"), (SPEED,), SHORT),
    Metric("seamline_append_duration_seconds", "histogram",
           "Of a micro-batch of the archive: its outcome is ok, empty, or the condition that it failed with.",
           ("stream", "outcome"), (ARCHIVE,), SHORT),
    Metric("seamline_append_step_duration_seconds", "histogram",
           "Of its steps: read (decode and write files, in Spark's tasks), commit (raw tables, then the entry).",
           ("stream", "step"), (ARCHIVE,), SHORT),
    # claims
    Metric("seamline_writer_claim", "gauge", "The number of the claim entry under which the process writes its log.",
           ("stream", "layer"), BOTH),
    Metric("seamline_writer_waiting_seconds", "gauge",
           "How long the writer has waited for Kafka or for executors; 0 while it works.", ("stream", "layer"), BOTH),
    # batch
    Metric("seamline_run_duration_seconds", "histogram",
           "Of a batch run of a view: its outcome is published, nothing (to do), or the condition that it failed with.",
           ("kind", "outcome"), (SCHEDULER,), LONG),
    Metric("seamline_run_step_duration_seconds", "histogram",
           "Of its steps: decide, reserve, compute, audit, publish.", ("step",), (SCHEDULER,), LONG),
    Metric("seamline_duty_runs_total", "counter",
           "Ends of a duty of the scheduler (refresh, retain, measure): ok, or failed where a part of it did.",
           ("duty", "outcome"), (SCHEDULER,)),
    Metric("seamline_duty_ended_timestamp_seconds", "gauge",
           "When the duty last ended, whatever came of it; before its first run, when the scheduler began.", ("duty",),
           (SCHEDULER,)),
    Metric("seamline_duty_interval_seconds", "gauge", "How often the duty is due.", ("duty",), (SCHEDULER,)),
    Metric("seamline_duty_next_timestamp_seconds", "gauge", "When the duty is due next.", ("duty",), (SCHEDULER,)),
    Metric("seamline_lake_objects", "gauge",
           "Objects of the lake by what they are for, when they were last listed (seamline_lake_sampled_…).", ("area",),
           (SCHEDULER,)),
    Metric("seamline_lake_bytes", "gauge", "Their bytes.", ("area",), (SCHEDULER,)),
    Metric("seamline_lake_sampled_timestamp_seconds", "gauge", "When the lake was last listed.", (), (SCHEDULER,)),
    # serving
    Metric("seamline_view_state", "gauge", "1 for the state that the view is in, 0 for the others.", ("view", "state"),
           (SERVING,)),
    Metric("seamline_view_newest_timestamp_seconds", "gauge",
           "The latest Kafka timestamp that the view's answers cover.", ("view",), (SERVING,)),
    Metric("seamline_view_version", "gauge", "The served batch version; 0 before the first.", ("view",), (SERVING,)),
    Metric("seamline_view_version_timestamp_seconds", "gauge", "When that version was made.", ("view",), (SERVING,)),
    Metric("seamline_view_run_begun_timestamp_seconds", "gauge",
           "When the first run since the newest version began, refresh or backfill; absent where none has.", ("view",),
           (SERVING,)),
    Metric("seamline_view_backfill_paused", "gauge",
           "Whether an operator has paused a backfill of the view (1) or none (0).", ("view",), (SERVING,)),
    Metric("seamline_view_chain_epochs", "gauge", "Epochs in the chain after the cut.", ("view",), (SERVING,)),
    Metric("seamline_view_chain_links", "gauge", "The runs that they are held in.", ("view",), (SERVING,)),
    Metric("seamline_view_drift_columns", "gauge",
           "Columns of the served version that its audit found to differ from what was served, unexplained.",
           ("view",), (SERVING,)),
    Metric("seamline_view_wrong_columns", "gauge",
           "Columns of the served version that another evaluator computes otherwise.", ("view",), (SERVING,)),
    Metric("seamline_ledger_looked_timestamp_seconds", "gauge",
           "When the ledger was last looked at without a failure.", (), (SERVING,)),
    Metric("seamline_query_duration_seconds", "histogram",
           "Of a query, from its text to its rows. The kind is newest or as_of; the outcome is ok, or the condition of "
           "its error, such as QUERY_REFUSED.", ("kind", "outcome"), (SERVING,), SHORT),
    Metric("seamline_query_step_duration_seconds", "histogram",
           "Of its steps: parse (and check), bind (to a snapshot; choose files), run.", ("step",), (SERVING,), SHORT),
    Metric("seamline_lookups_total", "counter",
           "Lookups by who answered: index, or sql where there is no index for them.", ("by",), (SERVING,)),
    Metric("seamline_lookup_index_bytes", "gauge", "Of the indexes for lookups, by view.", ("view",), (SERVING,)),
    Metric("seamline_lookup_index_duration_seconds", "histogram",
           "Of bringing a view's index to a snapshot. The kind is epoch (the keys that epochs brought) or whole.",
           ("kind",), (SERVING,), SHORT),
    Metric("seamline_requests_refused_total", "counter",
           "HTTP requests that were answered before a route saw them, by status.", ("status",), (SERVING,)),
    Metric("seamline_live_events_total", "counter",
           "Events that were sent to those who follow a question: answer, changes, same, failed or end.", ("kind",),
           (SERVING,)),
    Metric("seamline_live_evaluations_total", "counter",
           "How often a question that is followed was looked at: for all who follow it, its answer or its changes; for "
           "one who comes back, the changes since.", ("kind",), (SERVING,)),
    Metric("seamline_audit_lines_lost_total", "counter",
           "Lines of the audit log that are lost: unwritable, as where the disk is full, or behind, where more came.",
           ("reason",), (SERVING,)),
    Metric("seamline_catalogue_refused_total", "counter",
           "Queries of PostgreSQL's catalogue that could not be answered, by SQLSTATE.", ("sqlstate",), (SERVING,)),
    # a whole project
    Metric("seamline_role_running", "gauge", "Whether the role runs (1), or is starting, waiting, failed or stopped.",
           ("role",), (UP,)),
    Metric("seamline_role_restarts_total", "counter", "How often the role was started again.", ("role",), (UP,)),
    Metric("seamline_broker_running", "gauge",
           "Whether the embedded broker runs; absent where a cluster is configured.", (), (UP,)),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({one.name: one for one in _ALL})
"""By name."""
