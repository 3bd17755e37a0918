"""The HTTP role over its workers: nothing that one client asks keeps another from its answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from crews import HOSTILE, SLACK, children, private
from handmade import ALL, rows
from pyarrow import BufferReader
from waiting import wait_until
from workingrole import WorkingRole

from seamline.serving.provenance import check_json

QUICK = "SELECT sum(orders)::INT AS n FROM sales"


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkingRole]:
    running = WorkingRole(tmp_path_factory.mktemp("working"))
    yield running
    running.stop()


def test_whatever_a_client_asks_ends_in_time_and_others_get_their_answers(role: WorkingRole) -> None:
    def timed(ask: Any, *given: Any, **more: Any) -> tuple[float, httpx.Response]:
        began = time.monotonic()
        answer = ask(*given, **more)
        return time.monotonic() - began, answer

    seen = list[float]()
    with ThreadPoolExecutor(1) as pool:
        for sql in HOSTILE:
            mad = pool.submit(timed, role.query, sql, "mad", timeout=1)
            while not mad.done():
                took, quick = timed(role.query, QUICK)
                assert (quick.status_code, quick.json()["rows"]) == (200, [[20]])
                seen.append(took)
                healthy, _ = timed(role.client.get, "/healthz")
                assert healthy < 0.5 + SLACK
                assert max(map(private, children())) < 300 + 160, sql
            took, refused = mad.result()
            assert took < 1 + 1 + SLACK, sql
            assert refused.json()["condition"] in ("QUERY_TIMEOUT", "QUERY_REFUSED"), sql
    assert sorted(seen)[len(seen) // 2] < 0.5


def test_lookups_and_health_are_told_at_once_whatever_all_workers_do(role: WorkingRole) -> None:
    path = "/v1/views/sales/rows?key=shop1"
    wait_until(lambda: role.get(path).headers["seamline-lookup"] == "index", 20, "an index")
    with ThreadPoolExecutor(8) as pool:
        mad = [pool.submit(role.query, HOSTILE[-1], kind, timeout=2) for kind in ("mad", "calm") for _ in range(4)]
        took = list[float]()
        while not mad[0].done():
            for asked in (path, "/healthz"):
                began = time.monotonic()
                answer = role.get(asked)
                took.append(time.monotonic() - began)
                assert answer.status_code == 200
                assert answer.headers.get("seamline-lookup", "index") == "index"
    assert len(took) > 20
    assert sorted(took)[len(took) // 2] < 0.05


def test_three_hundred_million_rows_are_cut_off_where_an_answer_may_not_be_larger(role: WorkingRole) -> None:
    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        role.query("SELECT x, x + 1 AS y FROM range(300000000) t(x)", "mad", timeout=4)
    assert time.monotonic() - began < 4 + 1 + SLACK
    assert max(map(private, children())) < 300 + 160


def test_forty_one_at_once_of_one_client_keep_no_other_waiting(role: WorkingRole) -> None:
    with ThreadPoolExecutor(41) as pool:
        mad = [pool.submit(role.query, HOSTILE[-1], "mad", timeout=0.2) for _ in range(41)]
        for _ in range(10):
            began = time.monotonic()
            quick = role.query(QUICK)
            assert quick.json().get("rows") == [[20]], quick.text
            assert time.monotonic() - began < 2 * SLACK
        assert not all(answer.done() for answer in mad)
        found = {answer.result().json()["condition"] for answer in mad}
    assert found <= {"QUERY_TIMEOUT", "SERVING_BUSY", "LIMIT_REACHED"}


def test_half_an_answer_is_never_taken_for_a_whole_one(role: WorkingRole) -> None:
    large = "SELECT sha256(x::VARCHAR) AS s FROM range(1000000) t(x)"
    for form in ("json", "ndjson", "csv", "arrow", "parquet"):
        with pytest.raises(httpx.RemoteProtocolError):
            role.query(large, format=form)
    assert role.query(QUICK).status_code == 200


def test_parameters_limits_and_every_format(role: WorkingRole) -> None:
    sql = "SELECT shop, orders FROM sales WHERE orders > $n AND shop = $shop ORDER BY ALL"
    given = {"n": 0, "shop": "shop1"}
    rows_ = role.query(sql, parameters=given).json()["rows"]
    lines = role.query(sql, parameters=given, format="ndjson")
    assert [list(json.loads(line).values()) for line in lines.text.splitlines()] == rows_ != []
    assert json.loads(lines.headers["Seamline-Provenance"])["sales"]["epochs"]["count"] == 1
    file = role.query(sql, parameters=given, format="parquet")
    table = pq.read_table(BufferReader(file.content))
    assert [list(row.values()) for row in table.to_pylist()] == rows_
    check_json(json.loads(table.schema.metadata[b"seamline.provenance"])["sales"])
    assert role.query("SELECT $1", parameters=["'; DROP TABLE x"]).json()["rows"] == [["'; DROP TABLE x"]]
    few = role.query(ALL, max_rows=3)
    assert (few.status_code, few.json()["condition"]) == (400, "QUERY_REFUSED")
    slow = role.query("SELECT count(*) FROM range(10000000000) a(i), range(9) b(j) WHERE i * j % 7 = 3", timeout=0.2)
    assert (slow.status_code, slow.json()["condition"]) == (504, "QUERY_TIMEOUT")
    assert "0.2 s" in slow.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": "x"}, {"parameters": [[1]]}, {"parameters": [1]}, {"max_rows": 0}, {"max_rows": "3"},
        {"timeout": -1}, {"as_of": 1.5}, {"at_least": "soon"}, {"Sql": "SELECT 1"},
    ],
)  # fmt: skip
def test_what_is_no_such_request_is_refused(role: WorkingRole, body: dict[str, Any]) -> None:
    refused = role.query(QUICK, **body)
    assert (refused.status_code, refused.json()["condition"]) == (400, "INPUT_INVALID")


def test_doubled_and_unknown_parameters_of_the_address_and_other_methods_are_refused(role: WorkingRole) -> None:
    for path in ("/v1/query?sql=SELECT+1&sql=SELECT+2", "/v1/query?sql=SELECT+1&colour=red", "/v1/views?x=1"):
        assert (role.get(path).status_code, role.get(path).json()["condition"]) == (400, "INPUT_INVALID")
    head = {"Authorization": f"Bearer {role.tokens['calm']}"}
    wrong = role.client.delete("/v1/views", headers=head)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET")
    both = role.client.delete("/v1/query", headers=head)
    assert (both.status_code, both.headers["Allow"]) == (405, "GET, POST")


def test_views_are_told_with_their_columns_and_proof(role: WorkingRole) -> None:
    every = {view["name"]: view for view in role.get("/v1/views").json()["views"]}
    assert set(every) == {"sales", "shops"}
    columns = {column["name"]: column for column in every["sales"]["columns"]}
    assert (columns["hour"]["type"], columns["hour"]["key"], columns["orders"]["key"]) == (
        "TIMESTAMP WITH TIME ZONE", True, False,
    )  # fmt: skip
    one = role.get("/v1/views/sales").json()
    check_json(one["provenance"])
    unknown = role.get("/v1/views/nope")
    assert (unknown.status_code, unknown.json()["condition"]) == (404, "VIEW_UNKNOWN")
    assert role.get("/readyz").json()["ready"] is True


def test_an_answer_is_told_again_only_where_something_changed(role: WorkingRole) -> None:
    epoch = role.get("/v1/views/sales").json()["epoch"]
    first = role.query(QUICK)
    tag = first.headers["ETag"]
    same = role.query(QUICK, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    for other in ({"format": "csv"}, {"max_rows": 7}):
        assert role.query(QUICK, headers={"If-None-Match": tag}, **other).status_code == 200
    assert role.query(QUICK + " WHERE shop = $1", parameters=["a"]).headers["ETag"] != role.query(
        QUICK + " WHERE shop = $1", parameters=["b"]
    ).headers["ETag"]  # fmt: skip
    assert "ETag" not in role.query("SELECT now() AS t").headers
    role.made.epoch(rows(5, 100))
    written = role.query(QUICK, at_least=epoch + 1)
    assert written.json()["rows"] == [[25]]
    changed = role.query(QUICK, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["rows"]) == (200, [[25]])
    late = role.query(QUICK, at_least=epoch + 9, timeout=0.1)
    assert (late.status_code, late.json()["condition"]) == (503, "EPOCH_NOT_REACHED")


def test_a_past_epoch_is_answered_by_the_same_workers(role: WorkingRole) -> None:
    assert role.query(QUICK, as_of=1).json()["rows"] == [[20]]
    assert role.query(QUICK, as_of=99).json()["condition"] == "OUT_OF_RETENTION"


def test_the_description_says_what_routes_answer(role: WorkingRole) -> None:
    said = role.get("/openapi.json").json()
    query = said["paths"]["/v1/query"]
    assert set(query["get"]["responses"]) == set(query["post"]["responses"]) == {"200", "304", "4XX", "5XX"}
    wrong = role.query("SELECT * FROM nope").json()
    allowed = query["post"]["responses"]["4XX"]["content"]["application/problem+json"]["schema"]
    assert set(allowed["required"]) <= set(wrong) <= set(allowed["properties"])
    body = said["components"]["schemas"]["QueryBody"]
    assert body["additionalProperties"] is False
    assert set(body["properties"]) == {
        "sql", "parameters", "format", "max_rows", "timeout", "as_of", "at_least",
    }  # fmt: skip
    for form in ("json", "ndjson", "csv", "arrow", "parquet"):
        media = role.query(QUICK, format=form).headers["Content-Type"].partition(";")[0]
        assert media in query["get"]["responses"]["200"]["content"]
