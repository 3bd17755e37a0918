"""One table: every route, asked with every kind of token there is; and what a token that may ask some views can tell of
the others, which is nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from handmade import OTHER, VIEW, Handmade, rows
from test_http import Role
from waiting import wait_until

from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.access.policies import parse_policy
from seamline.serving.access.store import TokenStore
from seamline.tokentext import token_of

DAY = timedelta(days=1)
SALES = "SELECT shop, sum(orders) AS orders FROM sales GROUP BY shop ORDER BY shop"
SHOPS = "SELECT day, shop, orders FROM shops ORDER BY ALL"


@dataclass
class Asked:
    """A role with tokens of every kind."""

    role: Role
    store: TokenStore

    tokens: dict[str, str]
    """By kind."""

    audit: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()] if self.audit.exists() else []

    def get(self, kind: str, method: str, path: str, **said: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[kind]}"} if kind in self.tokens else {}
        return self.role.client.request(method, path, headers=headers, **said)

    def query(self, kind: str, sql: str, **body: Any) -> httpx.Response:
        return self.get(kind, "POST", "/v1/query", json={"sql": sql, **body})


def made_tokens(store: TokenStore, clock: Any) -> dict[str, str]:
    found = {name: store.create(name, views=None)[1] for name in ("every", "revoked", "replaced", "rotated")}
    found["expired"] = store.create("expired", views=None, lasts=DAY)[1]
    store.revoke("revoked")
    store.rotate("replaced", DAY)
    clock.advance(DAY)
    store.rotate("rotated", DAY)
    found |= {name: store.create(name, views=[name])[1] for name in ("sales", "shops")}
    found["unknown"] = token_of(bytes(32))
    found["mistyped"] = found["every"][:-1] + ("0" if found["every"][-1] != "0" else "1")
    return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("asked")
    made = Handmade(folder / "lake", VIEW, OTHER)
    made.epoch(rows(20))
    made.epoch(rows(20, 20))
    store = TokenStore(folder / "tokens.json", made.clock)
    tokens = made_tokens(store, made.clock)
    audit = AuditLog(folder / "audit.jsonl", masked=False, most=1 << 20, keep=1)
    policy = parse_policy("shops", "shop = coalesce(token.shop, shop)", "shops.sql")
    role = Role(made, query_seconds=30, access=Access(store, {"shops": policy}), audit=audit)
    role.follower.start()
    wait_until(lambda: role.client.get("/healthz").status_code == 200, 60, "the role is ready")
    yield Asked(role, store, tokens, folder / "audit.jsonl")
    role.stop()
    audit.close()


BODY = {"json": {"sql": SALES}}
ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/query", BODY),
    ("GET", "/v1/query", {"params": {"sql": SALES}}),
    ("GET", "/v1/status", {}),
    ("GET", "/v1/views", {}),
    ("GET", "/v1/views/{name}", {}),
    ("GET", "/v1/views/{name}/rows", {}),
    ("GET", "/v1/queries", {}),
    ("GET", "/v1/queries/{name}", {}),
    ("GET", "/v1/live", {}),
    ("POST", "/v1/live", {"json": {}}),
    ("GET", "/v1/queries/{name}/live", {}),
    ("GET", "/openapi.json", {}),
    ("GET", "/nowhere", {}),
    ("DELETE", "/v1/query", {}),
    ("GET", "/healthz/", {}),
    ("GET", "//healthz", {}),
]
"""Those that need a token: all that there are, and ways that are none."""

REFUSED = {
    "none": "no token",
    "unknown": "not known",
    "mistyped": "mistake",
    "expired": "expired",
    "revoked": "revoked",
    "replaced": "replaced",
}
LET_IN = ("every", "rotated", "sales", "shops")


def test_the_table_has_every_route(asked: Asked) -> None:
    app: Any = asked.role.server.config.app
    routes = {(method, one.path) for one in app.routes for method in one.methods if method != "HEAD"}
    open_to_all = {("GET", "/healthz"), ("GET", "/readyz")}
    assert routes - open_to_all <= {(method, path) for method, path, _ in ROUTES}


@pytest.mark.parametrize(("method", "path", "said"), ROUTES)
@pytest.mark.parametrize("kind", [*REFUSED, *LET_IN])
def test_who_is_let_in(asked: Asked, method: str, path: str, said: dict[str, Any], kind: str) -> None:
    answer = asked.get(kind, method, path, **said)
    if kind in LET_IN:
        assert answer.status_code not in (401, 403)
        return
    found = answer.json()
    assert (answer.status_code, found["condition"]) == (401, "UNAUTHENTICATED")
    assert REFUSED[kind] in found["message"]
    challenge = 'Bearer realm="seamline"'
    assert answer.headers["WWW-Authenticate"] == challenge + ("" if kind == "none" else ', error="invalid_token"')
    for secret in ("sales", "shops", *asked.tokens.values()):
        assert secret not in answer.text


@pytest.mark.parametrize("kind", [*REFUSED, *LET_IN])
def test_health_is_told_to_anybody(asked: Asked, kind: str) -> None:
    answer = asked.get(kind, "GET", "/healthz")
    assert answer.status_code == 200
    assert answer.json().keys() == {"ready", "looked"}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic eDp5", "Bearer a b", "Token {every}", "{every}", "Bearer {every}, Bearer {every}"]
)
def test_other_ways_to_say_it_are_refused(asked: Asked, header: str) -> None:
    headers = {"Authorization": header.format(**asked.tokens)}
    answer = asked.role.client.post("/v1/query", json={"sql": SALES}, headers=headers)
    assert (answer.status_code, answer.json()["condition"]) == (401, "UNAUTHENTICATED")


def test_two_headers_are_refused_and_the_schemes_case_does_not_matter(asked: Asked) -> None:
    one = ("Authorization", f"bEARER {asked.tokens['every']}")
    assert asked.role.client.get("/v1/status", headers=[one]).status_code == 200
    assert asked.role.client.get("/v1/status", headers=[one, one]).status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "x", "sql", "api_key", "Authorization"])
def test_a_token_in_the_address_is_refused_by_name(asked: Asked, name: str) -> None:
    address = {name: asked.tokens["every"]}
    for path in ("/v1/query", "/v1/status"):
        answer = asked.get("every", "GET", path, params={**address} if name == "sql" else {"sql": SALES, **address})
        assert (answer.status_code, answer.json()["condition"]) == (400, "REQUEST_REFUSED")
        assert "token in the address" in answer.json()["message"]
        assert asked.tokens["every"] not in answer.text


SHAPES = [
    SALES,
    "SELECT MEASURE(mean) FROM sales",
    "SELECT a.shop FROM sales a JOIN sales b USING (shop, hour) ORDER BY ALL",
    "WITH shops AS (SELECT * FROM sales) SELECT count(*) FROM shops",
    "SELECT count(*) FROM shops",
    "SELECT (SELECT count(*) FROM shops) FROM sales",
    "SELECT * FROM sales, shops",
    "SELECT * FROM SHOPS",
    "SELECT count(*) FROM sales WHERE shop IN (SELECT shop FROM shops)",
    "SELECT * FROM shopss",
    "SELECT * FROM seamline_tiles_shops",
    "SELECT * FROM nothing",
    "SELECT shops.shop FROM sales",
]


def without_time(found: dict[str, Any]) -> str:
    """An answer without what its moment alone says."""
    moments = ("asked", "lag_seconds", "age_seconds")
    return json.dumps(
        json.loads(json.dumps(found), object_hook=lambda one: {k: v for k, v in one.items() if k not in moments})
    )


@pytest.mark.parametrize("sql", SHAPES)
@pytest.mark.parametrize("as_of", [None, 1])
def test_it_is_as_if_no_other_view_had_been_applied(asked: Asked, alone: Role, sql: str, as_of: int | None) -> None:
    here = asked.query("sales", sql, as_of=as_of)
    there = alone.query(sql, as_of=as_of)
    assert here.status_code == there.status_code
    assert without_time(here.json()) == without_time(there.json())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    """The same records, and one view."""
    made = Handmade(tmp_path_factory.mktemp("alone"), VIEW)
    made.epoch(rows(20))
    made.epoch(rows(20, 20))
    made.clock.advance(DAY)
    role = Role(made, query_seconds=30)
    role.follower.start()
    wait_until(lambda: role.client.get("/healthz").status_code == 200, 60, "the role is ready")
    yield role
    role.stop()


def test_status_tells_of_no_other_view(asked: Asked, alone: Role) -> None:
    whole = asked.get("every", "GET", "/v1/status").json()
    assert whole["views"].keys() == {"sales", "shops"}
    some = asked.get("sales", "GET", "/v1/status")
    assert "shops" not in some.text
    assert without_time(some.json()["views"]) == without_time(alone.client.get("/v1/status").json()["views"])
    assert some.json()["streams"]["main"]["counts"] == whole["streams"]["main"]["counts"]


def test_what_a_token_may_ask_is_answered_as_to_one_that_may_ask_all(asked: Asked) -> None:
    for kind, sql in (("sales", SALES), ("shops", SHOPS), ("rotated", SHOPS)):
        assert asked.query(kind, sql).json()["rows"] == asked.query("every", sql).json()["rows"] != []


def test_revoking_holds_from_the_next_request_on(asked: Asked) -> None:
    asked.tokens["brief"] = asked.store.create("brief", views=["sales"])[1]
    assert asked.query("brief", SALES).status_code == 200
    asked.store.revoke("brief")
    assert asked.query("brief", SALES).status_code == 401


def test_what_is_asked_is_kept_with_who_asked_it(asked: Asked) -> None:
    sql = "SELECT count(*) AS lines FROM sales"
    asked.query("sales", sql)

    def found() -> list[dict[str, Any]]:
        return [line for line in asked.lines() if line.get("sql") == sql]

    wait_until(lambda: bool(found()), 10, "a line")
    (line,) = found()
    assert (line["who"], line["door"], line["outcome"], line["rows"]) == ("sales", "http", "ok", 1)


def test_an_answer_is_the_same_only_for_who_sees_the_same_rows(asked: Asked) -> None:
    tags = set()
    for shop, orders in (("shop0", 14), ("shop1", 13)):
        kind = asked.tokens[shop] = asked.store.create(shop, views=None, attributes={"shop": shop})[1]
        answer = asked.query(shop, "SELECT sum(orders)::INT AS n FROM shops")
        assert answer.json()["rows"] == [[orders]], kind
        tags.add(answer.headers["ETag"])
        again = asked.role.client.post(
            "/v1/query",
            json={"sql": "SELECT sum(orders)::INT AS n FROM shops"},
            headers={"Authorization": f"Bearer {kind}", "If-None-Match": answer.headers["ETag"]},
        )
        assert again.status_code == 304
    assert len(tags) == 2


@pytest.mark.parametrize("kind", REFUSED)
def test_who_is_not_let_in_is_kept_without_the_token(asked: Asked, kind: str) -> None:
    path = f"/v1/{kind}"
    asked.get(kind, "GET", path, params={"sql": "SELECT 'ada'"})
    wait_until(
        lambda: any(line["request"] == f"GET {path}" for line in asked.lines() if "request" in line), 10, "a line"
    )
    (line,) = [line for line in asked.lines() if line.get("request") == f"GET {path}"]
    assert (line["who"], line["outcome"], line["client"]) == (None, "UNAUTHENTICATED", "127.0.0.1")
    assert REFUSED[kind] in line["message"]
    assert all(text not in asked.audit.read_text() for text in asked.tokens.values())
