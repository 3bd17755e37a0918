"""Live updates: what a client folds from them is SQL's answer after every epoch; one look for all; and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from followed import Folded, following
from handmade import OTHER, VIEW, Handmade, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_http import Role
from waiting import wait_until

from seamline.config import ServingSection
from seamline.errors import SeamlineError
from seamline.observe.meters import METERS
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.access.policies import parse_policy
from seamline.serving.access.store import TokenStore
from seamline.serving.asking import Ask, Direct
from seamline.serving.callers import LOCAL, Caller, RowRule
from seamline.serving.encode import rows as as_rows
from seamline.serving.live.changing import Changing
from seamline.serving.live.feed import Feed, Followable, ReadTo
from seamline.serving.live.feeds import Feeds
from seamline.serving.live.updates import LiveEvent, LiveMark
from seamline.serving.saved import parse_query

FEW = """\
CREATE MATERIALIZED VIEW few AS
SELECT date_trunc('day', placed) AS day, shop, count(*) AS orders, stddev(amount) AS spread
FROM orders GROUP BY day, shop HAVING count(*) % 3 <> 0
"""
SUM = "SELECT shop, sum(orders)::BIGINT AS orders FROM sales GROUP BY shop ORDER BY shop"
SHOP1 = RowRule("shop = 'shop1'", frozenset(["shop"]))
SOME = Caller("some", frozenset(["few", "sales"]), rows=(("few", SHOP1), ("sales", SHOP1)))


def of_view(name: str, caller: Caller = LOCAL) -> Followable:
    return Followable(Ask(f"SELECT * FROM {name}", caller, (), "json"), name)


def of_query(sql: str, caller: Caller = LOCAL) -> Followable:
    return Followable(Ask(sql, caller, (), "json"))


class Followed:
    """Feeds over a handmade lake, and clients who fold what they say."""

    def __init__(self, folder: Path, *views: str) -> None:
        self.made = Handmade(folder, *views)
        self.serving = self.made.serving()
        self.feeds = Feeds(Direct(lambda: self.serving), Changing(lambda: self.serving), 1000, 1000)

    def commit(self, of: Any) -> None:
        self.made.epoch(of)
        self.serving.catch_up()

    def truth(self, what: Followable) -> list[list[Any]]:
        answer = self.serving.query(what.ask.sql, caller=what.ask.caller)
        return sorted(json.loads(json.dumps(list(as_rows(answer.table)))))


async def taken(feed: Feed, place: ReadTo, folded: Folded) -> LiveEvent:
    async with asyncio.timeout(30):
        event = await feed.after(place)
    folded.take(event.kind, event.data.decode(), str(event.mark or ""))
    return event


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("epoch"), st.integers(0, 9)),
        st.tuples(st.just("version"), st.just(0)),
        st.tuples(st.just("compact"), st.just(0)),
    ),
    min_size=1,
    max_size=5,
)


FEW_EXAMPLES = max(4, settings().max_examples // 5)


@settings(max_examples=FEW_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, late=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_what_is_folded_is_sqls_answer_after_every_epoch(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], late: list[int]
) -> None:
    world = Followed(tmp_path_factory.mktemp("world"), VIEW, OTHER, FEW)
    asked = [of_view("sales"), of_view("few"), of_view("few", SOME), of_view("sales", SOME), of_query(SUM)]
    world.commit(rows(7))

    async def run() -> None:
        with ExitStack() as held:
            feeds = [(what, held.enter_context(world.feeds.followed(what))) for what in (*asked, *asked)]
            clients = [(what, feed, ReadTo(), Folded()) for what, feed in feeds]
            for _, feed, place, folded in clients:
                await taken(feed, place, folded)
            for number, (kind, size) in enumerate(steps):
                step(kind, size, number)
                for n, (what, feed, place, folded) in enumerate(clients):
                    if n >= len(asked) and late[number % len(late)]:
                        continue  # one who reads seldom
                    await taken(feed, place, folded)
                    assert sorted(folded.rows) == world.truth(what), (what.view, folded.kinds)
            world.commit(rows(1, 900))
            for what, feed, place, folded in clients:
                await taken(feed, place, folded)
                assert sorted(folded.rows) == world.truth(what)
                again, seen = Folded(rows=list(folded.rows)), folded.id
                world_of = ReadTo(mark=LiveMark.parse(seen))
                await taken(feed, world_of, again)
                assert sorted(again.rows) == world.truth(what)

    def step(kind: str, size: int, number: int) -> None:
        made = world.made
        if kind == "version":
            made.version(made.sent, cut=made.ends[-1], view="sales" if number % 2 else "few")
        if kind == "compact" and made.number > 1:
            made.compact(1, made.number - 1)
        world.commit(rows(size if kind == "epoch" else 2, 40 * (number + 1)))

    asyncio.run(run())
    world.serving.close()


def looked(kind: str) -> float:
    return METERS.registry.get_sample_value("seamline_live_evaluations_total", {"kind": kind}) or 0.0


def test_equal_questions_are_looked_at_once_and_changes_cost_no_query(tmp_path: Path) -> None:
    world = Followed(tmp_path, VIEW, FEW)
    world.commit(rows(20))

    async def run() -> None:
        with ExitStack() as held:
            whats = [of_view("sales")] * 10 + [of_query(SUM)] * 10
            followers = [(held.enter_context(world.feeds.followed(what)), ReadTo(), Folded()) for what in whats]
            before = looked("answer"), looked("changes")
            await asyncio.gather(*(taken(*one) for one in followers))
            assert (looked("answer"), looked("changes")) == (before[0] + 2, before[1])
            for number in range(3):
                world.commit(rows(3, 100 + 10 * number))
                await asyncio.gather(*(taken(*one) for one in followers))
            assert (looked("answer"), looked("changes")) == (before[0] + 2 + 3, before[1] + 3)
            assert followers[0][2].kinds == ["answer", "changes", "changes", "changes"]

    asyncio.run(run())
    world.serving.close()


def test_who_reads_late_is_told_once_what_changed_or_all_of_it(tmp_path: Path) -> None:
    world = Followed(tmp_path, VIEW)
    world.commit(rows(20))

    async def run() -> None:
        with world.feeds.followed(of_view("sales")) as feed:
            quick, slow = (ReadTo(), Folded()), (ReadTo(), Folded())
            for one in (quick, slow):
                await taken(feed, *one)
            for number in range(5):
                world.commit(rows(2, 100 + number))
                await taken(feed, *quick)
            await taken(feed, *slow)
            assert (slow[1].kinds, quick[1].kinds) == (["answer", "changes"], ["answer", *["changes"] * 5])
            assert sorted(slow[1].rows) == sorted(quick[1].rows) == world.truth(feed.what)
            for number in range(70):
                world.commit(rows(1, 200 + number))
                await taken(feed, *quick)
            await taken(feed, *slow)
            assert slow[1].kinds[-1] == "answer"
            assert sorted(slow[1].rows) == sorted(quick[1].rows) == world.truth(feed.what)
            assert len(feed._steps) <= 64

    asyncio.run(run())
    world.serving.close()


def test_nobody_is_told_of_rows_that_a_policy_hides_not_even_that_they_are_gone(tmp_path: Path) -> None:
    world = Followed(tmp_path, FEW)
    world.commit(rows(20))

    async def run() -> None:
        with world.feeds.followed(of_view("few", SOME)) as feed:
            place, folded = ReadTo(), Folded()
            await taken(feed, place, folded)
            for first in range(100, 130):
                world.commit(rows(1, first))
                await taken(feed, place, folded)
                assert {row[1] for row in folded.last["rows"]} | {key[1] for key in folded.last["gone"]} <= {"shop1"}
            assert any(folded.kinds.count(kind) for kind in ("changes",))

    asyncio.run(run())
    world.serving.close()


def test_an_answer_that_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    world = Followed(tmp_path, VIEW)
    world.commit(rows(20))

    async def run() -> None:
        with world.feeds.followed(of_query("SELECT shop FROM sales GROUP BY shop ORDER BY 1")) as feed:
            place, folded = ReadTo(), Folded()
            await taken(feed, place, folded)
            world.commit(rows(20, 20))
            event = await taken(feed, place, folded)
            assert (event.kind, json.loads(event.data)["epoch"]) == ("same", 2)
            assert "rows" not in json.loads(event.data)

    asyncio.run(run())
    world.serving.close()


def test_a_hole_is_told_and_the_answer_follows_once_it_is_mended(tmp_path: Path) -> None:
    world = Followed(tmp_path, VIEW)
    world.commit(rows(20))

    async def run() -> None:
        with world.feeds.followed(of_view("sales")) as feed:
            place, folded = ReadTo(), Folded()
            await taken(feed, place, folded)
            world.made.version(world.made.sent, cut=20)
            world.made.epoch(rows(5, 20), start=30)
            world.serving.catch_up()
            await taken(feed, place, folded)
            assert (folded.kinds[-1], folded.last["condition"]) == ("failed", "SEAM_HOLE")
            world.made.version(world.made.sent, cut=35)
            world.serving.catch_up()
            await taken(feed, place, folded)
            assert folded.kinds[-1] == "answer"
            assert sorted(folded.rows) == world.truth(feed.what)
            with pytest.raises(SeamlineError), world.feeds.followed(of_query("SELECT * FROM nope")) as wrong:
                await wrong.after(ReadTo())

    asyncio.run(run())
    world.serving.close()


# over HTTP


@dataclass
class LiveRole:
    """A role with tokens, whose end can be asked for."""

    role: Role
    store: TokenStore
    tokens: dict[str, str]
    audit: Path
    ending: list[bool]

    def head(self, kind: str = "all", **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[kind]}", **more}

    def follow(self, kind: str = "all", path: str = "/v1/live", headers: Any = None, **said: Any) -> Any:
        return following(self.role.client, path, headers=self.head(kind, **(headers or {})), **said)

    def may_follow(self) -> bool:
        """Whether two more of one caller may."""
        with self.role.client.stream("GET", "/v1/live", params={"view": "sales"}, headers=self.head()) as one:
            two = self.role.client.build_request("GET", "/v1/live", params={"view": "sales"}, headers=self.head())
            other = self.role.client.send(two, stream=True)
            other.close()
            return one.status_code == other.status_code == 200


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveRole]:
    made = Handmade(tmp_path / "lake", VIEW, OTHER)
    made.epoch(rows(20))
    store = TokenStore(tmp_path / "tokens.json", made.clock)
    names: dict[str, Any] = {"all": None, "sales": ["sales"], "kiosk": []}
    tokens = {
        name: store.create(name, views=views, queries=["busy"] if name == "kiosk" else [])[1]
        for name, views in names.items()
    }
    audit, ending = AuditLog(tmp_path / "audit.jsonl", masked=False, most=1 << 20, keep=1), [False]
    policy = {"shops": parse_policy("shops", "shop = coalesce(token.shop, shop)", "shops.sql")}
    busy = parse_query("busy", f"-- $least INTEGER = 0\nSELECT * FROM ({SUM}) WHERE orders > $least", "busy")
    section = ServingSection.model_validate({"live": 4, "caller_live": 2})
    role = Role(
        made, 30, access=Access(store, policy), audit=audit, queries={"busy": busy}, settings=section,
        ending=lambda: ending[0],
    )  # fmt: skip
    role.follower.start()
    wait_until(lambda: role.client.get("/healthz").status_code == 200, 60, "the role is ready")
    yield LiveRole(role, store, tokens, tmp_path / "audit.jsonl", ending)
    ending[0] = True
    role.stop()
    audit.close()


def asked(live: LiveRole, sql: str) -> Any:
    return live.role.client.post("/v1/query", json={"sql": sql}, headers=live.head()).json()["rows"]


def test_a_view_and_a_query_are_followed_over_http(live: LiveRole) -> None:
    with live.follow(params={"view": "sales"}) as view, live.follow(json={"sql": SUM}) as query:
        assert (view.next(), query.next()) == ("answer", "answer")
        for number in range(3):
            live.role.made.epoch(rows(4, 20 + 4 * number))
            assert (view.next(), query.next()) == ("changes", "answer")
            assert sorted(view.state.rows) == sorted(asked(live, "SELECT * FROM sales"))
            assert query.state.rows == asked(live, SUM)
            assert view.state.epoch == query.state.epoch == number + 2
            assert view.state.last["provenance"]["sales"]["reached"] == {"orders@id1": {"0": 24 + 4 * number}}


def test_who_comes_back_is_told_what_changed_since(live: LiveRole) -> None:
    with live.follow(params={"view": "sales"}) as view:
        view.next()
    live.role.made.epoch(rows(2, 100))
    wait_until(
        lambda: live.role.client.get("/v1/views/sales", headers=live.head()).json()["epoch"] == 2, 10, "it reaches 2"
    )
    kept = list(view.state.rows)
    with live.follow(params={"view": "sales"}, headers={"Last-Event-ID": view.state.id}) as again:
        assert again.next() == "changes"
        assert len(again.state.last["rows"]) == 2
        folded = Folded(rows=kept)
        folded.take("changes", json.dumps(again.state.last))
        assert sorted(folded.rows) == sorted(asked(live, "SELECT * FROM sales"))
    for strange in ("", "7", "1-0123456789abcdef", "x" * 200):
        with live.follow(params={"view": "sales"}, headers={"Last-Event-ID": strange}) as again:
            assert again.next() == "answer"


def test_a_saved_query_is_followed_by_who_may_ask_nothing_else(live: LiveRole) -> None:
    with live.follow("kiosk", "/v1/queries/busy/live", params={"least": "6"}) as busy:
        assert busy.next() == "answer"
        assert busy.state.rows == [["shop0", 7], ["shop1", 7]]
    for said in ({"params": {"view": "sales"}}, {"json": {"sql": SUM}}):
        with pytest.raises(AssertionError, match=r"VIEW_UNKNOWN|QUERY_INVALID"), live.follow("kiosk", **said):
            pass


def test_a_token_that_is_revoked_ends_what_it_follows(live: LiveRole) -> None:
    with live.follow("sales", params={"view": "sales"}) as view:
        view.next()
        live.store.revoke("sales")
        assert view.next() == "end"
        assert view.state.last["condition"] == "UNAUTHENTICATED"
        assert view.ended.wait(10)
    wait_until(lambda: live.audit.exists() and '"door": "live"' in live.audit.read_text(), 10, "the line is written")
    (line,) = [json.loads(line) for line in live.audit.read_text().splitlines() if '"live"' in line]
    assert (line["who"], line["outcome"], line["events"]) == ("sales", "UNAUTHENTICATED", 2)


def test_a_role_that_ends_says_so(live: LiveRole) -> None:
    with live.follow(params={"view": "sales"}) as view:
        view.next()
        live.ending[0] = True
        assert view.next() == "end"
        assert view.state.last["condition"] == "SERVING_UNAVAILABLE"


def test_who_leaves_is_followed_no_more_and_limits_hold(live: LiveRole) -> None:
    with live.follow(params={"view": "sales"}) as one, live.follow(json={"sql": SUM}) as two:
        assert (one.next(), two.next()) == ("answer", "answer")
        third = live.role.client.get("/v1/live", params={"view": "sales"}, headers=live.head())
        assert (third.status_code, third.json()["condition"], third.headers["Retry-After"]) == (
            429, "LIMIT_REACHED", "1",
        )  # fmt: skip
        with live.follow("sales", params={"view": "sales"}) as other:
            assert other.next() == "answer"
    wait_until(live.may_follow, 10, "all have left")


@pytest.mark.parametrize("said", [{}, {"sql": SUM, "view": "sales"}, {"view": "sales", "parameters": [1]}, {"x": 1}])
def test_what_is_no_question_is_refused(live: LiveRole, said: dict[str, Any]) -> None:
    refused: httpx.Response = live.role.client.post("/v1/live", json=said, headers=live.head())
    assert (refused.status_code, refused.json()["condition"]) == (400, "INPUT_INVALID")
