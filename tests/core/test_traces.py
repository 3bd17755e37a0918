"""Traces, as a receiver of OTLP over HTTP gets them; and that nothing of it is loaded where nobody wants any."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lakes import DAY, Bench, order
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from seamline.config import Settings
from seamline.errors import UserError
from seamline.observe.traces import ENDPOINTS, TRACES
from seamline.serving.serving import Serving


class Receiver(ThreadingHTTPServer):
    """Keeps every span that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for of_resource in request.resource_spans:
            self.services |= {a.value.string_value for a in of_resource.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in of_resource.scope_spans for span in scope.spans]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def said(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def steps(receiver: Receiver, root: Any) -> list[str]:
    """The steps of a trace, in the order in which they began."""
    inside = [span for span in receiver.spans if span.parent_span_id == root.span_id]
    assert all(span.trace_id == root.trace_id for span in inside)
    return [span.name for span in sorted(inside, key=lambda span: int(span.start_time_unix_nano))]


def roots(receiver: Receiver, name: str) -> list[Any]:
    return [span for span in receiver.spans if span.name == name and not span.parent_span_id]


def test_a_micro_batch_a_run_and_a_query_are_a_trace_each_with_their_steps(receiver: Receiver, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with TRACES.sending():
        bench.send(order("a", shop="secret-shop"), order("a", shop="secret-shop"))
        bench.both()
        bench.batch.refresh("sales")
        bench.clock.advance(timedelta(minutes=1))
        bench.send(order("b", DAY + timedelta(hours=1)))
        bench.both()
        serving = Serving(bench.lake, Settings(), bench.clock)
        serving.query("SELECT * FROM sales WHERE shop = 'secret-shop'")
        with pytest.raises(UserError):
            serving.query("SELECT * FROM read_csv('secret-file')")
    first, second = roots(receiver, "epoch")
    assert steps(receiver, first) == ["epoch.read", "epoch.dedup", "epoch.remake", "epoch.write", "epoch.put"]
    assert steps(receiver, second) == ["epoch.read", "epoch.dedup", "epoch.write", "epoch.put"]
    assert said(second) == {"stream": "main", "epoch": 2, "outcome": "ok"}
    (run,) = roots(receiver, "run")
    assert steps(receiver, run) == [f"run.{one}" for one in ("decide", "reserve", "compute", "audit", "publish")]
    assert said(run) == {"view": "sales", "kind": "refresh", "outcome": "published"}
    answered, refused = roots(receiver, "query")
    assert steps(receiver, answered) == ["query.parse", "query.bind", "query.run"]
    assert said(refused) == {"kind": "newest", "outcome": "QUERY_REFUSED"}
    assert (answered.status.code, refused.status.code, refused.status.message) == (0, 2, "QUERY_REFUSED")
    assert receiver.services == {"seamline"}
    assert "secret" not in str(receiver.spans), "neither SQL nor values"


def test_nothing_is_sent_or_loaded_where_no_traces_are_wanted(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from seamline.serving.role import run_serving\n"
        "from seamline.observe.timed import timed\n"
        "from seamline.observe.traces import TRACES\n"
        "with TRACES.sending(), timed('query', kind='newest'): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk') or '.otlp' in name])"
    )
    env = {"PATH": "/usr/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "[]\n"


def test_what_sends_traces_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINTS[1], "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(UserError, match="traces are wanted") as refused, TRACES.sending():
        pass
    assert "seamline-serve[traces]" in refused.value.hint
