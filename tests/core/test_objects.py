"""Many objects are deleted at once, in every store alike: those that stand go, and one that is gone is no error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from seamline import objects
from seamline.errors import Condition, TransientError


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else LocalStore(str(tmp_path))


def standing(store: Any) -> set[str]:
    return {item["path"] for batch in obstore.list(store) for item in batch}


@pytest.mark.parametrize("gone", ["first", "between", "last"])
def test_those_that_stand_go_whichever_of_them_is_gone_already(store: Any, gone: str) -> None:
    given = [f"runs/r/{number}" for number in range(100)]
    for path in (*given, "runs/r/kept"):
        obstore.put(store, path, b"")
    for place in {"first": (0,), "between": (33, 50), "last": (99,)}[gone]:
        obstore.delete(store, given[place])
    for _ in range(2):
        objects.delete(store, given)
        assert standing(store) == {"runs/r/kept"}


def test_of_none_nothing_is_asked() -> None:
    objects.delete(S3Store("bucket", endpoint="http://127.0.0.1:1", allow_http=True), [])


class Bucket(ThreadingHTTPServer):
    """Answers DeleteObjects as S3 does (which says nothing of objects that are gone); keeps the keys of each call."""

    calls: list[list[str]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Deletes)
        self.calls = []

    @property
    def store(self) -> S3Store:
        endpoint = f"http://127.0.0.1:{self.server_port}"
        keys = {"access_key_id": "a", "secret_access_key": "b", "region": "here"}
        return S3Store("bucket", endpoint=endpoint, allow_http=True, **keys)  # type: ignore[arg-type]


class _Deletes(BaseHTTPRequestHandler):
    server: Bucket

    def do_POST(self) -> None:
        assert urlsplit(self.path).query.partition("=")[0] == "delete"
        asked = ElementTree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        keys = [str(key.text) for key in asked.iter() if key.tag.rpartition("}")[2] == "Key"]
        self.server.calls.append(keys)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        answer = f"<DeleteResult>{deleted}</DeleteResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with Bucket() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("many", "calls"), [(1, 1), (1000, 1), (1001, 2), (2500, 3)])
def test_s3_is_asked_once_for_each_thousand(bucket: Bucket, many: int, calls: int) -> None:
    given = [f"batch/{number}" for number in range(many)]
    objects.delete(bucket.store, given)
    assert len(bucket.calls) == calls
    assert sorted(key for call in bucket.calls for key in call) == sorted(given)


def test_a_store_that_refuses_is_told_of_by_some_of_what_was_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a folder").mkdir()
    monkeypatch.setattr(objects.delete.retry, "stop", lambda _: True)  # type: ignore[attr-defined]
    with pytest.raises(TransientError) as caught:
        objects.delete(LocalStore(str(tmp_path)), ["a folder", "b", "c", "d"])
    assert (caught.value.condition, caught.value.where) == (Condition.STORE_UNAVAILABLE, "a folder, b, c")
