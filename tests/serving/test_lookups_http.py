"""`GET /v1/views/{name}/rows`: an index and SQL give one body, one tag, one error; who may see what holds there too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from seamline.serving.lookups.indexes import Lookups

HOUR = "2024-05-01T01:00:00Z"


@dataclass
class Doors:
    """One lake behind two roles: one with indexes, one without; and tokens."""

    made: Handmade
    quick: Role
    slow: Role
    lookups: Lookups
    tokens: dict[str, str]
    audit: Path

    def get(self, role: Role, path: str, kind: str = "every", **headers: str) -> httpx.Response:
        return role.client.get(path, headers={"Authorization": f"Bearer {self.tokens[kind]}", **headers})

    def ready(self) -> None:
        """Both have the newest snapshot, and the indexes too."""
        for role in (self.quick, self.slow):
            role.follower.serving.catch_up()
        for view in ("sales", "shops"):
            self.lookups.find(view, self.quick.follower.serving.snapshot().view(view))
        self.lookups.follow()
        self.lookups.catch_up()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    made = Handmade(folder / "lake", VIEW, OTHER)
    made.epoch(rows(20))
    store = TokenStore(folder / "tokens.json", made.clock)
    tokens = {name: store.create(name, views=views)[1] for name, views in (("every", None), ("sales", ["sales"]))}
    tokens["one"] = store.create("one", views=None, attributes={"shop": "shop1"})[1]
    policy = parse_policy("shops", "shop = coalesce(token.shop, shop)", "shops.sql")
    access, audit = Access(store, {"shops": policy}), AuditLog(folder / "a.jsonl", masked=True, most=1 << 20, keep=1)
    found: list[Role] = []
    lookups = Lookups(lambda: found[0].follower.serving, 1 << 30)
    found += [Role(made, 30, access=access, audit=audit, lookups=lookups), Role(made, 30, access=access)]
    for role in found:
        role.follower.start()
        wait_until(lambda role=role: role.client.get("/healthz").status_code == 200, 60, "the role is ready")  # type: ignore[misc]
    doors = Doors(made, found[0], found[1], lookups, tokens, folder / "a.jsonl")
    doors.ready()
    yield doors
    for role in found:
        role.stop()
    audit.close()


PATHS = [
    "sales/rows", "sales/rows?key=shop1", f"sales/rows?key=shop1&key={HOUR}", "sales/rows?key=none",
    "sales/rows?key=%5CN", f"sales/rows?key=shop2&from={HOUR}&to=2024-05-01T03:00:00Z",
    "sales/rows?columns=shop,mean&limit=3", "sales/rows?key=shop1&format=arrow", "sales/rows?key=shop0&limit=2",
    "sales/rows?key=sh%C3%B6p",
]  # fmt: skip
WRONG = [
    "sales/rows?key=a&key=b&key=c", "sales/rows?key=a&key=b", "sales/rows?keys=a", "sales/rows?limit=1&limit=2",
    "sales/rows?limit=0", "sales/rows?limit=10001", "sales/rows?limit=x", "sales/rows?columns=nope",
    "sales/rows?key=%FF", "sales/rows?format=xml", "sales/rows?from=then", "none/rows", "sales/rows?timeout=0",
    "sales/rows?at_least=-1", "sales/rows?columns=",
]  # fmt: skip


def without_lag(answer: httpx.Response) -> Any:
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.content
    found = answer.json()
    for said in found.get("provenance", {}).values():
        del said["lag"]
    return found


@pytest.mark.parametrize("path", PATHS)
def test_both_ways_say_the_same_with_one_tag(doors: Doors, path: str) -> None:
    quick, slow = (doors.get(role, f"/v1/views/{path}") for role in (doors.quick, doors.slow))
    assert quick.status_code == slow.status_code == 200
    assert (quick.headers["seamline-lookup"], slow.headers["seamline-lookup"]) == ("index", "sql")
    assert without_lag(quick) == without_lag(slow)
    names = ("content-type", "etag", "cache-control", "x-content-type-options")
    assert [quick.headers[name] for name in names] == [slow.headers[name] for name in names]
    for role in (doors.quick, doors.slow):
        again = doors.get(role, f"/v1/views/{path}", **{"If-None-Match": quick.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", WRONG)
def test_both_ways_refuse_alike(doors: Doors, path: str) -> None:
    quick, slow = (doors.get(role, f"/v1/views/{path}") for role in (doors.quick, doors.slow))
    assert quick.status_code == slow.status_code
    assert 400 <= quick.status_code < 500
    assert quick.content == slow.content


def test_an_epoch_changes_the_tag_and_is_waited_for(doors: Doors) -> None:
    path = "/v1/views/sales/rows?key=shop0"
    before = doors.get(doors.quick, path)
    number = doors.made.epoch(rows(9, 100))
    waited = doors.get(doors.quick, f"{path}&at_least={number}")
    assert "etag" not in waited.headers
    doors.ready()
    after = doors.get(doors.quick, path, **{"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.headers["seamline-lookup"]) == (200, "index")
    assert after.json()["rows"] == waited.json()["rows"] != before.json()["rows"]
    assert doors.get(doors.quick, f"{path}&at_least={number}").headers["seamline-lookup"] == "index"


def test_a_caller_sees_its_views_and_its_rows_alone(doors: Doors) -> None:
    unknown = doors.get(doors.quick, "/v1/views/shops/rows", "sales")
    assert (unknown.status_code, unknown.json()["condition"]) == (404, "VIEW_UNKNOWN")
    assert doors.get(doors.quick, "/v1/views/sales/rows", "sales").headers["seamline-lookup"] == "index"
    limited = doors.get(doors.quick, "/v1/views/shops/rows", "one")
    assert limited.headers["seamline-lookup"] == "sql"
    assert {row[1] for row in limited.json()["rows"]} == {"shop1"}
    assert doors.get(doors.quick, "/v1/views/shops/rows?key=shop2", "one").json()["rows"] == []
    tags = {doors.get(doors.quick, "/v1/views/shops/rows", kind).headers["etag"] for kind in ("every", "one")}
    assert len(tags) == 2
    assert doors.quick.client.get("/v1/views/sales/rows").status_code == 401


def test_a_lookup_stands_in_the_audit_log_without_its_keys(doors: Doors) -> None:
    assert doors.get(doors.quick, f"/v1/views/sales/rows?key=shop1&key={HOUR}&limit=7").status_code == 200
    wait_until(lambda: doors.audit.exists() and '"?", "?"' in doors.audit.read_text(), 10, "a line")
    assert HOUR not in doors.audit.read_text()


def test_more_rows_than_one_answer_has_are_an_error_and_with_a_limit_they_are_not(doors: Doors) -> None:
    doors.made.epoch([(f"many{n:05}", n % 3, n) for n in range(10_100)])
    doors.ready()
    for role in (doors.quick, doors.slow):
        refused = doors.get(role, "/v1/views/sales/rows")
        assert (refused.status_code, refused.json()["condition"]) == (400, "QUERY_REFUSED")
    quick, slow = (doors.get(role, "/v1/views/sales/rows?limit=10000") for role in (doors.quick, doors.slow))
    assert quick.headers["seamline-lookup"] == "index"
    assert without_lag(quick) == without_lag(slow)
    assert len(quick.json()["rows"]) == 10_000
