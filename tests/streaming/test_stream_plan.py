"""What a stream reads and makes: every topic that a contract names, or that is being left, and every decoding that a
live definition goes by, counted so that the plain names count each record once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from stream_parts import VIEW, contract, definition

from seamline.entries.speed import Epoch
from seamline.frontier import START, Frontier
from seamline.schemas.contracts.claimed import Claimed
from seamline.schemas.contracts.contract import Before, Contract, Discriminator
from seamline.streaming.stream_plan import DecodingPlan, StreamPlan, make_plan

CLICKS = contract()
MENDED = contract(more="      - {property: seamline.ahead, value: 2 days}\n")
PER_HOUR = definition(CLICKS)


def claiming(name: str, value: str, path: str = "kind", topic: str = "shared") -> Contract:
    """Reads those records of a topic that say `value`."""
    return replace(CLICKS, name=name, topic=topic, discriminator=Discriminator((path,), value))


def labels(plan: StreamPlan) -> dict[str, str]:
    return {one.decoding: one.label for one in plan.decodings}


def decoding(plan: StreamPlan, of: Contract) -> DecodingPlan:
    (found,) = (one for one in plan.decodings if one.decoding == of.decoding)
    return found


def test_a_mended_contract_is_counted_by_its_name_and_the_one_before_it_by_its_decoding_too() -> None:
    mended = definition(MENDED, "too")
    plan = make_plan([MENDED], [(PER_HOUR, (CLICKS,)), (mended, (MENDED,))])
    assert labels(plan) == {MENDED.decoding: "clicks", CLICKS.decoding: f"clicks@{CLICKS.decoding}"}
    assert [one.topics for one in plan.decodings] == [("clicks",)] * 2
    assert decoding(plan, CLICKS).partials == ((PER_HOUR.hash, PER_HOUR.partials["clicks"]),)
    assert decoding(plan, MENDED).partials == ((mended.hash, mended.partials["clicks"]),)


def test_a_contract_is_read_by_what_definitions_live_by_and_by_the_projects_text_where_none_does() -> None:
    assert labels(make_plan([MENDED], [(PER_HOUR, (CLICKS,))])) == {CLICKS.decoding: "clicks"}
    assert labels(make_plan([MENDED], [])) == {MENDED.decoding: "clicks"}
    elsewhere = replace(MENDED, event_id=None)
    found = labels(make_plan([elsewhere], [(PER_HOUR, (CLICKS,))]))
    assert found == {elsewhere.decoding: "clicks", CLICKS.decoding: f"clicks@{CLICKS.decoding}"}
    other = definition(MENDED, "other"), (MENDED,)
    both = make_plan([contract(n="string")], [(PER_HOUR, (CLICKS,)), other, (definition(MENDED, "too"), (MENDED,))])
    assert labels(both) == {MENDED.decoding: "clicks", CLICKS.decoding: f"clicks@{CLICKS.decoding}"}


def test_a_contract_that_the_project_has_no_more_is_read_as_long_as_a_definition_lives_by_it() -> None:
    plan = make_plan([], [(PER_HOUR, (CLICKS,))])
    assert labels(plan) == {CLICKS.decoding: "clicks"}
    assert plan.topics == ("clicks",)
    assert plan.definitions == (PER_HOUR.hash,)
    assert make_plan([], []) == StreamPlan(())


def test_a_topic_has_the_decodings_that_are_read_from_it_and_no_others() -> None:
    presses = contract("presses")
    plan = make_plan([CLICKS, replace(presses, name="presses")], [])
    assert plan.topics == ("clicks", "presses")
    assert [one.label for one in plan.of_topic("presses")] == ["presses"]
    assert plan.of_topic("other") == ()


def test_a_topic_that_is_left_is_read_beside_the_one_that_its_contract_names_now() -> None:
    moved = replace(CLICKS, topic="new")
    gone = replace(CLICKS, name="gone", topic="old")
    plan = make_plan([moved], [(PER_HOUR, (CLICKS,))], {"clicks": [CLICKS], "old": [gone], "new": [moved]})
    assert {one.label.partition("@")[0]: one.topics for one in plan.decodings} == {
        "clicks": ("new", "clicks"), "gone": ("old",),
    }  # fmt: skip
    assert [one.label for one in plan.of_topic("old")] == ["gone"]


def test_fields_are_used_whose_names_stand_in_a_statement() -> None:
    assert set(decoding(make_plan([CLICKS], [(PER_HOUR, (CLICKS,))]), CLICKS).uses) == {"ts", "n"}
    assert decoding(make_plan([CLICKS], []), CLICKS).uses == ()


def test_what_no_contract_claims_is_told_of_topics_whose_contracts_claim_by_a_value() -> None:
    both = [claiming("a", "A"), claiming("b", "B")]
    assert [topic for topic, _ in make_plan([CLICKS, *both], []).unclaimed] == ["shared"]
    assert make_plan(both, []).unclaimed == (("shared", Claimed(("kind",), frozenset("AB"), rest=True)),)
    other = claiming("b", "B", path="sort")  # clashes: it was left behind in a definition alone
    of_other = definition(other, text=VIEW.replace("FROM clicks", "FROM b"))
    decided = make_plan([both[0]], [(of_other, (other,))])
    assert decided.unclaimed == (("shared", Claimed(("kind",), frozenset("A"), rest=True)),)
    assert decoding(decided, other).claimed == Claimed(("sort",), frozenset("B"))


def handed(**more: object) -> Contract:
    """The mended contract, which was handed to a definition that lived by `CLICKS`."""
    before = Before(CLICKS, "h/clicks", None, together=(PER_HOUR.hash,))
    return replace(MENDED, before=replace(before, **more))  # type: ignore[arg-type]


def epoch(*decodings: str, **handovers: Frontier) -> Epoch:
    said = {name.replace("_", "/"): at for name, at in handovers.items()}
    return Epoch(
        at=datetime(2026, 1, 1, tzinfo=UTC), number=4, claim=1, start=START, end=START, files={}, decodings=decodings,
        handovers=said,
    )  # fmt: skip


def test_a_text_is_taken_with_the_first_epoch_that_reads_its_decoding_at_all() -> None:
    live = [(PER_HOUR, (handed(),))]
    taken = make_plan([MENDED], live, newest=epoch(CLICKS.decoding))
    assert (taken.handovers, labels(taken)) == (("h/clicks",), {MENDED.decoding: "clicks"})
    assert decoding(taken, MENDED).after == (CLICKS.decoding,)
    late = make_plan([MENDED], live, newest=epoch(CLICKS.decoding, MENDED.decoding))
    assert (late.handovers, labels(late)) == ((), {CLICKS.decoding: "clicks"})
    again = make_plan([MENDED], live, newest=epoch(MENDED.decoding, h_clicks=START))
    assert (again.handovers, labels(again)) == (("h/clicks",), {MENDED.decoding: "clicks"})
    for_good = make_plan([MENDED], [(PER_HOUR, (handed(until=START),))], newest=epoch(MENDED.decoding))
    assert (for_good.handovers, labels(for_good)) == ((), {MENDED.decoding: "clicks"})


def test_a_text_is_taken_by_all_of_its_definitions_that_are_live_or_by_none() -> None:
    other = definition(CLICKS, "other")
    both = (PER_HOUR.hash, other.hash)
    newest = epoch(CLICKS.decoding)
    waits = make_plan([], [(PER_HOUR, (handed(together=both),)), (other, (CLICKS,))], newest=newest)
    assert (waits.handovers, labels(waits)) == ((), {CLICKS.decoding: "clicks"})
    there = make_plan([], [(PER_HOUR, (handed(together=both),)), (other, (handed(together=both),))], newest=newest)
    assert (there.handovers, labels(there)) == (("h/clicks",), {MENDED.decoding: "clicks"})
    alone = make_plan([], [(PER_HOUR, (handed(together=both),))], newest=newest)
    assert alone.handovers == ("h/clicks",)
