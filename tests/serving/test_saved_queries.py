"""Saved queries: what a file may say, what values are, who may ask them, and that they are answered as queries are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from handmade import OTHER, VIEW, Handmade, rows
from places import ROOT
from test_http import Role
from waiting import wait_until

from seamline.errors import Condition, UserError
from seamline.kernel import kernel
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.access.policies import parse_policy
from seamline.serving.access.store import TokenStore
from seamline.serving.saved import KINDS, load_queries, parse_query

BUSY = """\
-- Shops with many orders.
-- $since TIMESTAMPTZ = 2024-01-01
-- $least INTEGER = 1 -- so many orders, or more
-- by their number
SELECT shop, sum(orders)::BIGINT AS orders FROM sales WHERE hour >= $since
GROUP BY shop HAVING sum(orders) >= $least ORDER BY shop
"""
BOTH = "SELECT count(*) AS n FROM sales JOIN shops USING (shop)"
RUN = "-- $text VARCHAR\nSELECT $text AS \"=1+1\", -1.5::DECIMAL(4,1) AS n, '+31 6' AS phone, 'a' AS a"
QUERIES = {name: parse_query(name, text, name) for name, text in {"busy": BUSY, "both": BOTH, "run": RUN}.items()}


@dataclass
class Saved:
    """A role with saved queries, and tokens of every kind."""

    role: Role
    store: TokenStore
    tokens: dict[str, str]
    audit: Path

    def get(self, path: str, kind: str = "all", headers: Any = None, **params: str) -> httpx.Response:
        head = {"Authorization": f"Bearer {self.tokens[kind]}", **(headers or {})}
        return self.role.client.get(path, params=params, headers=head)

    def ask(self, name: str, kind: str = "all", headers: Any = None, **params: str) -> httpx.Response:
        return self.get(f"/v1/queries/{name}", kind, headers, **params)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    folder = tmp_path_factory.mktemp("saved")
    made = Handmade(folder / "lake", VIEW, OTHER)
    made.epoch(rows(20))
    store = TokenStore(folder / "tokens.json", made.clock)
    tokens = {
        "all": store.create("all", views=None)[1],
        "sales": store.create("sales", views=["sales"])[1],
        "kiosk": store.create("kiosk", views=[], queries=["busy"])[1],
        "berlin": store.create("berlin", views=[], queries=["both", "busy"], attributes={"shop": "shop1"})[1],
    }
    policy = parse_policy("sales", "shop = coalesce(token.shop, shop)", "sales.sql")
    audit = AuditLog(folder / "audit.jsonl", masked=False, most=1 << 20, keep=1)
    role = Role(made, 30, access=Access(store, {"sales": policy}), queries=QUERIES, audit=audit)
    role.follower.start()
    wait_until(lambda: role.client.get("/healthz").status_code == 200, 60, "the role is ready")
    yield Saved(role, store, tokens, folder / "audit.jsonl")
    role.stop()
    audit.close()


def test_it_is_answered_as_its_text_is(saved: Saved) -> None:
    text = BUSY.replace("$since", "TIMESTAMPTZ '2024-05-01T02:00:00Z'").replace("$least", "3")
    there = saved.role.client.post(
        "/v1/query", json={"sql": text}, headers={"Authorization": f"Bearer {saved.tokens['all']}"}
    ).json()
    here = saved.ask("busy", since="2024-05-01T02:00:00Z", least="3").json()
    assert here["rows"] == there["rows"] != []
    assert here["provenance"]["sales"]["reached"] == there["provenance"]["sales"]["reached"]
    assert saved.ask("busy").json()["rows"] == [["shop0", 7], ["shop1", 7], ["shop2", 6]]


def test_formats_limits_and_past_answers_are_a_querys(saved: Saved) -> None:
    as_csv = saved.ask("busy", least="7", format="csv")
    assert list(csv.reader(io.StringIO(as_csv.text))) == [["shop", "orders"], ["shop0", "7"], ["shop1", "7"]]
    assert "Seamline-Provenance" in as_csv.headers
    assert saved.ask("busy", as_of="9").json()["condition"] == "OUT_OF_RETENTION"
    assert saved.ask("busy", max_rows="2").json()["condition"] == "QUERY_REFUSED"
    assert saved.ask("busy", at_least="9", timeout="0.1").json()["condition"] == "EPOCH_NOT_REACHED"
    tag = saved.ask("busy").headers["ETag"]
    assert saved.ask("busy", headers={"If-None-Match": tag}).status_code == 304
    assert saved.ask("busy", least="2", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("name", "params", "status", "said"),
    [
        ("busy", {"least": "many"}, 400, "least: 'many' is no INTEGER"),
        ("busy", {"least": "1_0"}, 400, "no INTEGER"),
        ("busy", {"least": "2147483648"}, 400, "no INTEGER"),
        ("busy", {"since": "yesterday"}, 400, "no TIMESTAMPTZ"),
        ("busy", {"colour": "red"}, 400, "colour in the address"),
        ("busy", {"sql": "SELECT 1"}, 400, "sql in the address"),
        ("run", {}, 400, "text of run has no value"),
        ("busi", {}, 404, "no saved query is named 'busi'"),
    ],
)
def test_what_does_not_fit_is_said(saved: Saved, name: str, params: dict[str, str], status: int, said: str) -> None:
    refused = saved.ask(name, **params)
    assert refused.status_code == status
    assert said in refused.json()["message"]


def test_a_doubled_parameter_is_refused(saved: Saved) -> None:
    head = {"Authorization": f"Bearer {saved.tokens['all']}"}
    refused = saved.role.client.get("/v1/queries/busy?least=1&least=2", headers=head)
    assert (refused.status_code, refused.json()["condition"]) == (400, "INPUT_INVALID")


def test_values_are_bound_and_never_pasted(saved: Saved) -> None:
    text = "x'; DROP TABLE sales; --"
    assert saved.ask("run", text=text).json()["rows"][0][0] == text


def test_a_token_of_queries_alone_sees_them_and_nothing_else(saved: Saved) -> None:
    assert saved.ask("busy", "kiosk").json()["rows"] == saved.ask("busy").json()["rows"]
    unknown = saved.ask("both", "kiosk").json()
    assert unknown["condition"] == "QUERY_UNKNOWN"
    assert "both" not in unknown["detail"]
    assert [one["name"] for one in saved.get("/v1/queries", "kiosk").json()["queries"]] == ["busy", "run"]
    assert saved.get("/v1/views", "kiosk").json() == {"views": []}
    assert saved.get("/v1/views/sales", "kiosk").status_code == 404
    assert saved.get("/v1/status", "kiosk").json()["views"] == {}
    refused = saved.get("/v1/query", "kiosk", sql="SELECT * FROM sales").json()
    assert refused["condition"] == "QUERY_INVALID"
    assert "sales" not in refused["detail"] + refused["hint"]


def test_a_token_of_views_may_ask_what_reads_these_alone(saved: Saved) -> None:
    assert saved.ask("busy", "sales").status_code == 200
    assert saved.ask("both", "sales").status_code == 404


def test_rows_that_a_policy_hides_are_in_no_saved_query(saved: Saved) -> None:
    assert saved.ask("busy", "berlin").json()["rows"] == [["shop1", 7]]
    assert saved.ask("both", "berlin").json()["rows"] < saved.ask("both").json()["rows"]


def test_the_list_says_what_each_takes(saved: Saved) -> None:
    (busy,) = [one for one in saved.get("/v1/queries").json()["queries"] if one["name"] == "busy"]
    assert (busy["comment"], busy["views"]) == ("Shops with many orders. by their number", ["sales"])
    assert busy["parameters"][1] == {
        "name": "least", "type": "INTEGER", "required": False, "default": "1", "comment": "so many orders, or more",
    }  # fmt: skip


def test_the_audit_log_has_its_name(saved: Saved) -> None:
    saved.ask("busy", "kiosk", least="5")
    wait_until(lambda: '"least": 5' in saved.audit.read_text(), 10, "the line is written")
    (line,) = [line for line in saved.audit.read_text().splitlines() if '"least": 5' in line]
    assert '"query": "busy"' in line
    assert '"who": "kiosk"' in line


def test_a_spreadsheet_runs_nothing_of_safe_csv(saved: Saved) -> None:
    for text, cell in (("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), ("-5", "-5"), ("a=1", "a=1")):
        read = list(csv.reader(io.StringIO(saved.ask("run", text=text, format="csv_safe").text)))
        assert read == [["'=1+1", "n", "phone", "a"], [cell, "-1.5", "'+31 6", "a"]]
    plain = list(csv.reader(io.StringIO(saved.ask("run", text="=1+1", format="csv").text)))
    assert plain[1][0] == "=1+1"


VALUES: list[tuple[str, str, Any]] = [
    ("BOOLEAN", "TRUE", True), ("INTEGER", "-3", -3), ("BIGINT", "9007199254740993", 2**53 + 1),
    ("DECIMAL", "12.50", Decimal("12.50")), ("DOUBLE", "1e3", 1000.0), ("VARCHAR", "", ""),
    ("DATE", "2024-05-01", date(2024, 5, 1)), ("TIME", "13:30:00", time(13, 30)),
    ("TIMESTAMP", "2024-05-01T13:30:00", datetime(2024, 5, 1, 13, 30)),
    ("TIMESTAMPTZ", "2024-05-01T13:30:00+02:00", datetime(2024, 5, 1, 11, 30, tzinfo=UTC)),
    ("TIMESTAMPTZ", "2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
    ("UUID", "00000000-0000-0000-0000-000000000001", UUID(int=1)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
def test_a_text_is_read_as_duckdb_reads_it(kind: str, text: str, value: Any) -> None:
    found = parse_query("q", f"-- $x {kind}\nSELECT $x", "q.sql").values({"x": text})["x"]
    assert found == value
    (there,) = kernel().run(f"SELECT '{text}'::{kind if kind != 'DECIMAL' else 'DECIMAL(38,2)'} AS x").to_pylist()
    assert type(value)(there["x"]) == value if kind == "UUID" else there["x"] == value


NOT = {
    "BOOLEAN": ["yes", "1", ""], "INTEGER": ["1.0", "1e3", " 1", "٣", "0x1F", ""], "BIGINT": [str(2**63)],
    "DECIMAL": ["NaN", "1" * 39, "1e40", "1,5", "infinity"], "DOUBLE": ["nan", "inf", "1e999", "1_0"], "VARCHAR": [],
    "DATE": ["2024-13-01", "today", "epoch"], "TIME": ["25:00", "now"], "UUID": ["1"],
    "TIMESTAMP": ["2024-05-01T00:00:00Z", "infinity"], "TIMESTAMPTZ": ["now", "1717200000.5"],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_value_of_the_type_is_refused(kind: str) -> None:
    query = parse_query("q", f"-- $x {kind}\nSELECT $x", "q.sql")
    for text in NOT[kind]:
        with pytest.raises(UserError) as refused:
            query.values({"x": text})
        assert refused.value.condition is Condition.INPUT_INVALID, text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("q", "SELECT $x", "$x has no line that says its type"),
        ("q", "-- $x DATE\nSELECT 1", "$x is not in the query"),
        ("q", "-- $x DATE\n-- $x DATE\nSELECT $x", "$x twice"),
        ("q", "-- $x MONEY\nSELECT $x", "$x of type MONEY"),
        ("q", "-- $x DATE = soon\nSELECT $x", "'soon' is no DATE"),
        ("q", "-- $x\nSELECT $x", "declares no parameter"),
        ("q", "-- $format VARCHAR\nSELECT $format", "a parameter of the name 'format'"),
        ("q", "-- $api_key VARCHAR\nSELECT $api_key", "a parameter of the name 'api_key'"),
        ("q", "SELECT ?", "$1 has no line"),
        ("q", "SELECT 1; SELECT 2", "2 statements"),
        ("q", "DROP TABLE x", "no SELECT"),
        ("q", "SELECT * FROM read_csv('/etc/passwd')", "table function read_csv"),
        ("q", "SELEC", "syntax error"),
        ("Q-1", "SELECT 1", "a query of the name 'Q-1'"),
    ],
)
def test_a_file_that_is_wrong_ends_the_role_at_its_start(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / f"{name}.sql").write_text(text)
    with pytest.raises(UserError) as refused:
        load_queries(tmp_path)
    assert refused.value.condition is Condition.CONFIG_INVALID
    assert said in refused.value.message
    assert f"{name}.sql" in refused.value.where


def test_those_of_the_examples_can_be_read() -> None:
    for folder in ("src/seamline/operate/templates/project", "src/seamline/demo/github"):
        assert load_queries(ROOT / folder)


def test_null_as_default_stands_for_no_value() -> None:
    query = parse_query("q", "-- $x DATE = NULL\nSELECT $x", "q.sql")
    assert query.values({}) == {"x": None}
