"""`seamline.connect`: a folder and a URL answer alike, in values, proofs and errors; and the page about it runs."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pyarrow as pa
import pytest
from handmade import OTHER, VIEW, Handmade, handmade_project, rows
from places import ROOT
from test_http import Role
from waiting import wait_until

import seamline
from seamline.client.remote import told
from seamline.client.spelling import spelled
from seamline.connection import Connection
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.serving.access.authentication import Access
from seamline.serving.access.store import TokenStore
from seamline.serving.saved import load_queries

BUSY = """\
-- Shops by their orders.
-- $until DATE
-- $least INTEGER = 1
SELECT shop, sum(orders)::INT FROM sales WHERE hour < $until GROUP BY shop HAVING sum(orders) >= $least ORDER BY ALL
"""

Connect = Callable[[], Connection]


@dataclass
class Project:
    """One project on disk, and a role that serves it to who has the token."""

    folder: Path
    made: Handmade
    url: str
    token: str


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with running_project(tmp_path_factory.mktemp("shop")) as found:
        yield found


@contextmanager
def running_project(folder: Path) -> Iterator[Project]:
    made = handmade_project(folder, VIEW, OTHER)
    (folder / "queries").mkdir()
    (folder / "queries/busy_shops.sql").write_text(BUSY)
    for first in (0, 20):
        made.epoch(rows(20, first))
    store = TokenStore(folder / "tokens.json", made.clock)
    _, token = store.create("notebook", views=None)
    role = Role(made, query_seconds=30, access=Access(store), queries=load_queries(folder))
    role.follower.start()
    wait_until(lambda: role.client.get("/healthz").status_code == 200, 60, "the role is ready")
    yield Project(folder, made, str(role.client.base_url), token)
    role.stop()


@pytest.fixture(scope="module", params=["folder", "url"])
def connection(request: pytest.FixtureRequest, project: Project) -> Iterator[Connection]:
    if request.param == "folder":
        found = seamline.connect(project.folder)
    else:
        found = seamline.connect(project.url, token=project.token + "\n")
    with found:
        yield found


@pytest.fixture(scope="module")
def beside(project: Project) -> Iterator[Connection]:
    """The lake itself, whatever is asked."""
    with seamline.connect(str(project.folder)) as found:
        yield found


def test_rows_and_their_proof(connection: Connection, project: Project) -> None:
    answer = connection.query("SELECT hour, shop, orders, amount FROM sales ORDER BY ALL")
    truth = [(t["hour"], t["shop"], t["orders"], t["amount"]) for t in project.made.truth(project.made.sent)]
    assert answer.rows() == truth
    assert len(answer) == len(truth)
    assert answer.columns == ("hour", "shop", "orders", "amount")
    assert answer.arrow().schema.field("amount").type == pa.decimal128(38, 0)
    assert answer.arrow().schema.metadata is None
    assert answer.provenance["sales"]["reached"] == {"orders@id1": {"0": 40}}
    assert answer.provenance["sales"]["links"]
    assert answer.warnings == ()
    assert list(answer.pandas()["shop"]) == [row[1] for row in truth]


def test_past_answers_and_warnings(connection: Connection) -> None:
    assert connection.query("SELECT sum(orders)::INT FROM sales", as_of=1).rows() == [(20,)]
    (warning,) = connection.query("SELECT sum(amounts) AS n FROM sales").warnings
    assert "MEASURE(amounts)" in warning


BOUND: list[tuple[str, Any, Any]] = [
    ("SELECT $1 || 'x' AS x, $2 + 1 AS y", ["a'b", 2], [("a'bx", 3)]),
    ("SELECT count(*) > 0 AS n FROM sales WHERE hour >= $1", [datetime(2024, 5, 1, tzinfo=UTC)], [(True,)]),
    ("SELECT count(*) AS n FROM sales WHERE hour >= $since", {"since": date(2030, 1, 1)}, [(0,)]),
    (
        "SELECT $1::DATE AS d, $2::DECIMAL(9,2) AS m",
        [date(2024, 5, 1), Decimal("1.50")],
        [(date(2024, 5, 1), Decimal("1.50"))],
    ),
    ("SELECT $1 IS NULL AS x", [None], [(True,)]),
]


@pytest.mark.parametrize(("sql", "parameters", "expected"), BOUND)
def test_parameters(connection: Connection, sql: str, parameters: Any, expected: Any) -> None:
    assert connection.query(sql, parameters).rows() == expected


def test_views(connection: Connection) -> None:
    sales, shops = connection.views()
    assert (sales.name, sales.state, sales.error) == ("sales", "ready", "")
    assert [column.name for column in shops.columns] == ["day", "shop", "orders"]
    assert (shops.columns[1].type, shops.columns[1].exactness) == ("VARCHAR", "exact")


def test_saved_queries(connection: Connection) -> None:
    (busy,) = connection.queries()
    assert (busy.name, busy.comment, busy.views) == ("busy_shops", "Shops by their orders.", ("sales",))
    assert [(one.name, one.type, one.default) for one in busy.parameters] == [
        ("until", "DATE", None), ("least", "INTEGER", "1")
    ]  # fmt: skip
    answer = connection.ask("busy_shops", {"until": date(2030, 1, 1), "least": 14})
    assert answer.rows() == [("shop0", 14)]
    assert answer.provenance["sales"]["links"]
    assert connection.ask("busy_shops", {"until": date(2030, 1, 1), "least": 7}, as_of=1).rows()[0] == ("shop0", 7)


@pytest.mark.parametrize(
    ("name", "said", "condition"),
    [
        ("busy_shop", {}, "QUERY_UNKNOWN"), ("a b?x=1#y", {}, "QUERY_UNKNOWN"), ("busy_shops", {}, "INPUT_INVALID"),
        ("busy_shops", {"until": "soon"}, "INPUT_INVALID"), ("busy_shops", {"until": None}, "INPUT_INVALID"),
    ],
)  # fmt: skip
def test_errors_of_saved_queries(
    connection: Connection, beside: Connection, name: str, said: dict[str, Any], condition: str
) -> None:
    with pytest.raises(UserError) as caught:
        connection.ask(name, said)
    with pytest.raises(UserError) as there:
        beside.ask(name, said)
    assert caught.value.condition == condition
    assert str(caught.value) == str(there.value)


WRONG = [
    ("SELECT * FROM sails", {}, "QUERY_INVALID"),
    ("SELECT nothing FROM sales", {}, "QUERY_INVALID"),
    ("SELEC", {}, "QUERY_INVALID"),
    ("DROP TABLE sales", {}, "QUERY_REFUSED"),
    ("SELECT getenv('HOME')", {}, "QUERY_REFUSED"),
    ("SELECT * FROM sales", {"as_of": 99}, "OUT_OF_RETENTION"),
    ("SELECT $1", {}, "INPUT_INVALID"),
    ("SELECT 1", {"parameters": [1]}, "INPUT_INVALID"),
]


@pytest.mark.parametrize(("sql", "more", "condition"), WRONG)
def test_errors(connection: Connection, beside: Connection, sql: str, more: dict[str, Any], condition: str) -> None:
    with pytest.raises(SeamlineError) as caught:
        connection.query(sql, **more)
    with pytest.raises(SeamlineError) as there:
        beside.query(sql, **more)
    assert caught.value.condition == condition
    assert str(caught.value) == str(there.value)
    assert isinstance(caught.value, type(there.value))


def test_a_token_that_does_not_hold(project: Project) -> None:
    for token in (None, "seam_x", "hunter2"):
        with seamline.connect(project.url, token=token) as there, pytest.raises(UserError) as caught:
            there.query("SELECT 1 AS x")
        assert caught.value.condition is Condition.UNAUTHENTICATED
        assert token is None or token not in str(caught.value)
        assert token is None or token not in repr(there)


def test_the_token_of_the_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_TOKEN", project.token)
    with seamline.connect(project.url) as there:
        assert there.query("SELECT 1 AS x").rows() == [(1,)]


@pytest.mark.parametrize(
    "given", [{"token": "seam_x"}, {"authority": "x.pem"}, {"project": "http://"}, {"project": "http://a b:x"}]
)
def test_what_does_not_fit_is_refused(project: Project, given: dict[str, str]) -> None:
    with pytest.raises(SeamlineError) as caught, seamline.connect(**{"project": str(project.folder), **given}) as there:
        there.query("SELECT 1")
    assert caught.value.condition in (Condition.INPUT_INVALID, Condition.SERVING_UNAVAILABLE)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ä", "a\0"])
def test_what_cannot_be_a_token_is_never_said(token: str) -> None:
    with pytest.raises(UserError) as caught:
        seamline.connect("http://127.0.0.1:1", token=token or " ")
    assert caught.value.condition is Condition.INPUT_INVALID
    assert token.strip() == "" or token not in str(caught.value)


def test_a_role_that_is_away_may_come_back() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with seamline.connect(f"http://127.0.0.1:{port}") as there, pytest.raises(TransientError) as caught:
        there.query("SELECT 1")
    assert caught.value.condition is Condition.SERVING_UNAVAILABLE


@pytest.mark.parametrize("framing", ["Content-Length: {}", "Connection: close"])
@pytest.mark.parametrize("kept", [0, 10, -8, -1])
def test_an_answer_that_was_cut_off_is_none(framing: str, kept: int) -> None:
    """Whatever is left of it, also where HTTP itself cannot tell."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema({"x": pa.int64()}, {"seamline.provenance": "{}"})) as writer:
        writer.write_table(pa.table({"x": [1]}).replace_schema_metadata({"seamline.provenance": "{}"}))
    whole = sink.getvalue().to_pybytes()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            with server.accept()[0] as one:
                one.recv(1 << 16)
                head = f"HTTP/1.1 200 OK\r\n{framing.format(len(whole))}\r\n\r\n"
                one.sendall(head.encode() + whole[:kept])

        serving = threading.Thread(target=answer)
        serving.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with seamline.connect(url) as there, pytest.raises(TransientError) as caught:
            there.query("SELECT 1")
        serving.join()
    assert caught.value.condition is Condition.SERVING_UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "body", "kind", "condition"),
    [
        (409, {"condition": "SEAM_HOLE", "message": "m"}, TerminalError, "SEAM_HOLE"),
        (503, {"condition": "VIEW_NOT_READY", "message": "m"}, TransientError, "VIEW_NOT_READY"),
        (429, {"condition": "OF_TOMORROW", "message": "m"}, TransientError, "UNEXPECTED"),
        (504, {"condition": "QUERY_TIMEOUT", "message": "m"}, UserError, "QUERY_TIMEOUT"),
        (502, "<html>", TransientError, "UNEXPECTED"),
        (200, ["x"], UserError, "UNEXPECTED"),
    ],
)
def test_what_a_role_or_a_proxy_says_is_told(status: int, body: Any, kind: type, condition: str) -> None:
    error = told(httpx.Response(status, json=body))
    assert (type(error), error.condition) == (kind, condition)


def test_values_that_json_has_not_go_as_text() -> None:
    at = datetime(2024, 5, 1, 2, tzinfo=UTC)
    named = {"a": at, "b": date(2024, 5, 1), "c": Decimal("1.50"), "d": UUID(int=1), "e": float("nan"), "f": None}
    assert spelled(named) == {
        "a": "2024-05-01T02:00:00+00:00", "b": "2024-05-01", "c": "1.50",
        "d": "00000000-0000-0000-0000-000000000001", "e": "nan", "f": None,
    }  # fmt: skip
    assert spelled((True, 2**70, "x", 1.5)) == [True, 2**70, "x", 1.5]
    for wrong in ("text", b"bytes", [object()], [timedelta(1)], [b"x"]):
        with pytest.raises(UserError):
            spelled(wrong)  # type: ignore[arg-type]


def test_the_page_about_it_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    assert len(blocks) == 8
    names: dict[str, Any] = {"url": project.url, "token": project.token}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
        assert block is not blocks[0] or names["answer"].rows()[0][0] in ("shop1", "shop2")
    assert names["frame"]["shop"].tolist()


def test_rows_of_a_key(connection: Connection) -> None:
    hour = datetime(2024, 5, 1, 1, tzinfo=UTC)
    every = connection.query("SELECT * FROM sales ORDER BY shop, hour")
    assert connection.lookup("Sales").rows() == every.rows()
    one = connection.lookup("sales", "shop1", hour, columns=["orders", "shop"])
    (orders,) = [row["orders"] for row in every.arrow().to_pylist() if (row["shop"], row["hour"]) == ("shop1", hour)]
    assert one.rows() == [(orders, "shop1")]
    assert one.provenance["sales"]["reached"] == every.provenance["sales"]["reached"]
    ranged = connection.lookup("sales", "shop1", since=hour, until="2024-05-01T03:00:00Z").arrow()
    assert [at.hour for at in ranged["hour"].to_pylist()] == [1, 2]
    assert connection.lookup("sales", None).rows() == []
    assert len(connection.lookup("shops", "shop0", limit=1).rows()) == 1


@pytest.mark.parametrize(
    ("key", "more", "condition"),
    [
        (("a", "then"), {}, Condition.INPUT_INVALID),
        (("a", 1, 2), {}, Condition.INPUT_INVALID),
        ((), {"columns": ["nope"]}, Condition.INPUT_INVALID),
        ((), {"limit": 0}, Condition.INPUT_INVALID),
        (([1],), {}, Condition.INPUT_INVALID),
    ],
)
def test_a_lookup_that_is_wrong(connection: Connection, key: Any, more: Any, condition: Condition) -> None:
    with pytest.raises(UserError) as caught:
        connection.lookup("sales", *key, **more)
    assert caught.value.condition is condition
    with pytest.raises(UserError) as caught:
        connection.lookup("none")
    assert caught.value.condition is Condition.VIEW_UNKNOWN
