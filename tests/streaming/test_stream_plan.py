"""What a stream reads and makes: every topic that a contract names, or that is being left, and every decoding that a
live definition goes by, counted so that the plain names count each record once."""

from __future__ import annotations

from dataclasses import replace

from stream_parts import VIEW, contract, definition

from seamline.schemas.contracts.claimed import Claimed
from seamline.schemas.contracts.contract import Contract, Discriminator
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
    plan = make_plan([MENDED], [(PER_HOUR, (CLICKS,))])
    assert labels(plan) == {MENDED.decoding: "clicks", CLICKS.decoding: f"clicks@{CLICKS.decoding}"}
    assert [one.topics for one in plan.decodings] == [("clicks",)] * 2
    assert decoding(plan, CLICKS).partials == ((PER_HOUR.hash, PER_HOUR.partials["clicks"]),)
    assert decoding(plan, MENDED).partials == ()


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
