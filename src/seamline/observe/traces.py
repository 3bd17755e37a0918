"""Traces for OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT is set; else nothing of it is imported.

A micro-batch, a batch run and a query are a trace each, and their steps its spans. What is sent of them is what they
are about (stream, epoch, view, kind, …), how long they took and what they came to: no SQL, and of an error its
condition alone, since messages may hold values of users.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import seamline
from seamline.errors import Condition, UserError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables. What else is to be said to it (headers, sampling, …) has variables of its own too."""

Attributes = Mapping[str, str | int]


class Span:
    """A piece of work in a trace, or of none."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def ends(self, outcome: str, *, failed: bool) -> None:
        """Says what it came to."""
        if self._span is not None:
            self._span.set_attribute("outcome", outcome)
            if failed:
                trace = _api()
                self._span.set_status(trace.Status(trace.StatusCode.ERROR, outcome))


class Traces:
    """This process's traces. Who makes them is there within `tracing`, and nobody else."""

    def __init__(self) -> None:
        self._tracer: Any = None

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Sends traces to where the environment says; nothing where it says nothing. All are sent when it ends.

        Raises CONFIG_INVALID where what sends them is not installed.
        """
        if not any(os.environ.get(name) for name in ENDPOINTS):
            yield
            return
        provider = _provider()
        self._tracer = provider.get_tracer("seamline", seamline.__version__)
        try:
            yield
        finally:
            self._tracer = None
            provider.shutdown()

    @contextmanager
    def span(self, name: str, attributes: Attributes, *, inside: bool = False) -> Iterator[Span]:
        """A span of the trace that this thread is in, or a trace of its own; `inside`: none where it is in none."""
        if self._tracer is None or (inside and not _api().get_current_span().is_recording()):
            yield Span()
            return
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            yield Span(span)


def _api() -> Any:
    return import_module("opentelemetry.trace")


def _provider() -> Any:
    """What sends spans in the background, in batches."""
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
    except ImportError as error:
        raise UserError(
            Condition.CONFIG_INVALID,
            f"traces are wanted ({ENDPOINTS[0]}), and what sends them is not installed: {error}",
            detail="the packages of the extra 'traces'",
            hint="pip install 'seamline-serve[traces]', or unset the variable",
        ) from error
    service = os.environ.get("OTEL_SERVICE_NAME") or "seamline"
    provider = sdk.TracerProvider(
        resource=resources.Resource.create({"service.name": service, "service.version": seamline.__version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter()))
    return provider


TRACES = Traces()
"""This process's."""
