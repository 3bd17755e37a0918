"""A view's definitions: the first is served from the origin, a changed one lives beside it, a switch is one entry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from obstore.store import MemoryStore
from places import ROOT

from seamline.clock import ManualClock
from seamline.entries.views import DefinitionRecord, Published
from seamline.errors import Condition, SeamlineError
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, load_contracts
from seamline.schemas.states import KEPT, apply_views, decide, drop_view, publish
from seamline.schemas.views.text import parse_views

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = ROOT / "examples" / "github"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path), MemoryStore())


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return load_contracts(EXAMPLES / "contracts")


def apply(lake: Lake, contracts: dict[str, Contract], *columns: str, view: str = "v") -> str:
    """Applies a view that has these columns; returns its definition."""
    select = f"SELECT dt::DATE AS day, repo, {', '.join(columns)} FROM github_events GROUP BY ALL"
    sql = f"CREATE MATERIALIZED VIEW {view} AS {select}"
    (text,) = parse_views(sql, where="v.sql")
    (applied,) = apply_views(lake, {view: text}, contracts, ManualClock(NOW))
    return applied.definition


def state(lake: Lake) -> Published:
    return Catalogue(lake).states["v"]


def test_a_first_definition_is_served_from_the_origin(lake: Lake, contracts: dict[str, Contract]) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    assert (state(lake).served, state(lake).version, state(lake).live) == (first, None, (first,))


def test_applying_the_same_again_puts_nothing(lake: Lake, contracts: dict[str, Contract]) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    assert apply(lake, contracts, "COUNT( * )   AS n") == first
    assert lake.view_log("v").last() == 1


def test_a_changed_view_lives_beside_the_served_one_until_a_version_of_it_is_published(
    lake: Lake, contracts: dict[str, Contract]
) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    second = apply(lake, contracts, "count(*) AS n", "sum(commits) AS c")
    assert state(lake).served == first
    assert set(state(lake).live) == {first, second}
    assert [d.hash for d in Catalogue(lake).live("main")] == sorted([first, second])
    publish(lake, state(lake), second, 3, "first version", NOW)
    assert (state(lake).served, state(lake).version) == (second, 3)
    assert first in state(lake).live, "the one served before stays, to go back to"


def test_a_switch_back_is_as_easy_and_keeps_the_other(lake: Lake, contracts: dict[str, Contract]) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    second = apply(lake, contracts, "count(*) AS n", "sum(commits) AS c")
    publish(lake, state(lake), second, 3, "first version", NOW)
    publish(lake, state(lake), first, 1, "operator", NOW)
    assert (state(lake).served, state(lake).version) == (first, 1)
    assert second in state(lake).live


def test_a_dropped_view_has_no_epochs_and_comes_back_as_it_was_served(
    lake: Lake, contracts: dict[str, Contract]
) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    seen = publish(lake, state(lake), first, 3, "version", NOW)
    assert drop_view(lake, "v", ManualClock(NOW)) is not None
    assert (state(lake).served, state(lake).version, state(lake).live) == (None, None, ())
    assert Catalogue(lake).live() == ()
    assert drop_view(lake, "v", ManualClock(NOW)) is None, "dropped before"
    with pytest.raises(SeamlineError) as caught:
        publish(lake, seen, first, 4, "a refresh under way", NOW)
    assert caught.value.condition is Condition.LEDGER_CONFLICT
    assert apply(lake, contracts, "count(*) AS n") == first
    assert (state(lake).served, state(lake).version, state(lake).live) == (first, 3, (first,))


def test_another_definition_after_a_drop_begins_at_the_origin(lake: Lake, contracts: dict[str, Contract]) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    publish(lake, state(lake), first, 3, "version", NOW)
    drop_view(lake, "v", ManualClock(NOW))
    second = apply(lake, contracts, "sum(commits) AS c")
    assert (state(lake).served, state(lake).version, state(lake).live) == (second, None, (second,))


def test_a_view_that_was_never_applied_cannot_be_dropped(lake: Lake) -> None:
    with pytest.raises(SeamlineError) as caught:
        drop_view(lake, "v", ManualClock(NOW))
    assert caught.value.condition is Condition.VIEW_UNKNOWN


def test_what_lives_is_bounded(lake: Lake, contracts: dict[str, Contract]) -> None:
    for n in range(6):
        newest = apply(lake, contracts, "count(*) AS n", f"sum(commits + {n}) AS c")
        publish(lake, state(lake), newest, n + 1, "version", NOW)
    assert len(state(lake).live) <= KEPT
    assert state(lake).live[0] == newest


def test_publishing_gives_way_to_whoever_changed_the_view_meanwhile(lake: Lake, contracts: dict[str, Contract]) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    seen = state(lake)
    publish(lake, seen, first, 7, "an operator's rollback", NOW)
    with pytest.raises(SeamlineError) as caught:
        publish(lake, seen, first, 8, "a refresh", NOW)
    assert caught.value.condition is Condition.LEDGER_CONFLICT
    assert state(lake).version == 7


def test_a_decision_is_made_again_from_the_newest_state_after_a_lost_race(
    lake: Lake, contracts: dict[str, Contract]
) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    seen: list[int | None] = []

    def decision(newest: Published | None) -> Published | None:
        assert newest is not None
        seen.append(newest.version)
        if len(seen) == 1:  # another put comes between reading and putting
            publish(lake, newest, first, 5, "the other", NOW)
        return newest.model_copy(update={"version": (newest.version or 0) + 1, "attempt": f"mine{len(seen)}"})

    decide(lake, "v", decision)
    assert seen == [None, 5]
    assert state(lake).version == 6


def test_one_wrong_view_leaves_all_of_them_as_they_were(lake: Lake, contracts: dict[str, Contract]) -> None:
    texts = parse_views(
        "CREATE MATERIALIZED VIEW good AS SELECT dt::DATE AS day, repo, count(*) AS n FROM github_events GROUP BY ALL;"
        "CREATE MATERIALIZED VIEW wrong AS SELECT nosuch, count(*) AS n FROM github_events GROUP BY ALL;",
        where="v.sql",
    )
    with pytest.raises(SeamlineError) as caught:
        apply_views(lake, {t.name: t for t in texts}, contracts, ManualClock(NOW))
    assert caught.value.condition is Condition.VIEW_INVALID
    assert Catalogue(lake).states == {}


def test_a_view_over_an_unknown_contract_names_the_contracts_there_are(
    lake: Lake, contracts: dict[str, Contract]
) -> None:
    (text,) = parse_views("CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n FROM nosuch GROUP BY ALL", "v.sql")
    with pytest.raises(SeamlineError) as caught:
        apply_views(lake, {"v": text}, contracts, ManualClock(NOW))
    assert caught.value.condition is Condition.CONTRACT_UNKNOWN
    assert "github_events" in str(caught.value)


def test_a_definition_is_compiled_again_from_what_the_ledger_kept(lake: Lake, contracts: dict[str, Contract]) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    assert Catalogue(lake).definition(first).hash == first
    assert Catalogue(lake).contracts(first)[0].decoding == contracts["github_events"].decoding
    with pytest.raises(SeamlineError) as caught:
        Catalogue(lake).definition("nosuch")
    assert caught.value.condition is Condition.VIEW_UNKNOWN


def test_a_definition_is_still_known_to_be_a_views_that_names_it_no_more(
    lake: Lake, contracts: dict[str, Contract]
) -> None:
    first = apply(lake, contracts, "count(*) AS n")
    drop_view(lake, "v", ManualClock(NOW))
    second = apply(lake, contracts, "sum(commits) AS c")
    assert [one.definition for one in state(lake).definitions] == [second]
    catalogue = Catalogue(lake)
    assert catalogue.history_of(first) is catalogue.history_of(second) is catalogue.history("v")
    assert catalogue.properties(first) == {}


def recorded(definitions: int, states: int) -> Catalogue:
    """A view with so many definitions, and so many states that record all of them."""
    lake = Lake("unused", MemoryStore())
    sql = "CREATE MATERIALIZED VIEW v TBLPROPERTIES ('owner' = 'me') AS SELECT 1"
    records = tuple(DefinitionRecord(definition=f"d{n}", sql=sql, contracts={}) for n in range(definitions))
    for number in range(1, states + 1):
        state = Published(at=NOW, view="v", definitions=records, live=("d0",), served="d0", version=number)
        lake.view_log("v").put(number, state)
    return Catalogue(lake)


def steps(call: Callable[[], object]) -> int:
    """How many lines Python runs in it."""
    count = 0

    def traced(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        count += event == "line"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_what_a_definition_is_of_is_found_at_one_look_however_many_states_there_are() -> None:
    few, many = recorded(3, 2), recorded(3, 50)
    asked: list[Callable[[Catalogue], object]] = [
        lambda c: c.history_of("d2"),
        lambda c: c.history_of("d3"),
        lambda c: c.history("v").state,
    ]
    for ask in asked:
        assert steps(lambda ask=ask: ask(many)) == steps(lambda ask=ask: ask(few))  # type: ignore[misc]
    assert few.history_of("d2") is few.history("v")
    assert few.history_of("d3") is None
    assert few.properties("d2") == {"owner": "me"}
    assert few.properties("d3") == {}


def test_a_look_for_every_definition_costs_as_much_for_each_however_many_there_are() -> None:
    def all_of(definitions: int) -> int:
        catalogue = recorded(definitions, 2)
        return steps(lambda: [catalogue.history_of(f"d{n}") for n in range(definitions)])

    assert all_of(80) - all_of(40) == all_of(40) - all_of(0)
