"""The records of the comparison, the answer to them, and which groups of an answer are told to be wrong, and why."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from places import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from beside.batches import by_event_time
from beside.mess import HARMS, PARTITIONS, Click, Kind, Sent, malformed, records, run
from beside.truth import COPY, LATE, MALFORMED, OTHER, STRANGE, Expected, truth, why, wrong

HOUR = datetime(2026, 1, 1, 5, tzinfo=UTC)


def sent(kind: Kind, event: str, minute: int, ms: int) -> Sent:
    click = Click(event, HOUR + timedelta(minutes=minute), "page", ms)
    return Sent(0, kind, click, click.json())


def test_a_seed_always_gives_the_same_records_and_fewer_are_the_first_of_them() -> None:
    some = [*records(7, 3_000)]
    assert some == [*records(7, 3_000)] == [*islice(records(7, 9_000), 3_000)]
    assert some != [*records(8, 3_000)]
    assert {one.kind for one in some} == {*Kind}


def test_a_run_ends_with_a_probe_in_every_partition() -> None:
    *most, a, b, c, d = run(7, 1_001)
    assert most == [*records(7, 1_001)]
    assert {one.partition for one in (a, b, c, d)} == {*range(PARTITIONS)}
    assert {one.kind for one in (a, b, c, d)} == {Kind.PROBE}


def test_records_are_as_their_kind_says() -> None:
    seen: dict[str, bytes] = {}
    for one in records(7, 20_000):
        if one.kind is Kind.COPY:
            assert seen[one.click.id] == one.value
        elif one.valid:
            assert one.click.id not in seen
            assert json.loads(one.value)["ms"] == one.click.ms
            seen[one.click.id] = one.value


def test_each_harm_breaks_one_thing() -> None:
    click = Click("c1", HOUR, "page", 12)
    whole = json.loads(click.json())
    broken = [malformed(click, harm) for harm in range(len(HARMS))]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(broken[0])
    differences = [json.loads(one).items() - whole.items() for one in broken[1:]]
    assert [len(one) for one in differences] == [1] * 5


def test_the_truth_counts_each_valid_event_once_and_no_other() -> None:
    found = truth(
        [
            sent(Kind.PLAIN, "a", 0, 10),
            sent(Kind.COPY, "a", 0, 10),
            sent(Kind.LATE, "b", 59, 30),
            sent(Kind.MALFORMED, "c", 1, 500),
            sent(Kind.PLAIN, "d", 60, 7),
            sent(Kind.MALFORMED, "e", 120, 8),
        ]
    )
    assert found == {
        (HOUR, "page"): Expected(2, 40, 30, late=(30,), copies=(10,), malformed=(500,)),
        (HOUR + timedelta(hours=1), "page"): Expected(1, 7, 7),
    }


RIGHT = Expected(10, 1_000, 300, late=(7, 90), copies=(50, 60), malformed=(400, 11))


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ((10, 1_000, 300), ""),
        ((9, 993, 300), LATE),
        ((8, 903, 300), LATE),
        ((8, 910, 300), OTHER),
        ((11, 1_050, 300), COPY),
        ((12, 1_110, 300), COPY),
        ((12, 1_100, 300), OTHER),
        ((11, 1_000, 300), MALFORMED),
        ((11, 1_400, 400), MALFORMED),
        ((12, 1_011, 300), MALFORMED),
        ((10, 1_000, 299), OTHER),
        ((10, 999, 300), OTHER),
        (None, OTHER),
    ],
)
def test_what_is_wrong_with_a_group_is_what_its_figures_fit(
    got: tuple[int, int | None, int | None] | None, said: str
) -> None:
    assert why(got, RIGHT) == said


def test_wrong_groups_are_counted_once_each_by_what_is_wrong() -> None:
    later = HOUR + timedelta(hours=1)
    expected = {(HOUR, "page"): RIGHT, (HOUR, "other"): RIGHT, (later, "gone"): Expected(1, 5, 5, late=(5,))}
    answer = {(HOUR, "page"): (10, 1_000, 300), (HOUR, "other"): (11, 1_050, 300), (None, "page"): (1, None, None)}
    assert wrong(answer, expected) == Counter({COPY: 1, LATE: 1, STRANGE: 1})


def test_a_batch_that_is_cut_by_event_time_is_taken_below_its_cut_and_the_stream_from_it_on() -> None:
    later = HOUR + timedelta(hours=1)
    batch = {(HOUR, "a"): (2, 2, 2), (later, "a"): (1, 1, 1)}
    stream = {(HOUR, "a"): (1, 1, 1), (HOUR, "b"): (9, 9, 9), (later, "a"): (3, 3, 3), (None, "a"): (1, None, None)}
    assert by_event_time(batch, stream, later) == {
        (HOUR, "a"): (2, 2, 2), (later, "a"): (3, 3, 3), (None, "a"): (1, None, None),
    }  # fmt: skip
