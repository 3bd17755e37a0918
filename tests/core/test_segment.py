"""Law 2: an answer comes from one chain. A hole or an overlap is an error that names the range, never a number."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seamline.errors import Condition, SeamlineError
from seamline.frontier import START, Frontier, Partition
from seamline.segment import Segment, build_chain, check_seam


def at(offset: int) -> Frontier:
    return Frontier({Partition("events@id", 0): offset})


def epoch(number: int, start: int, end: int) -> Segment:
    return Segment("d", at(start), at(end), number, number)


def epochs(count: int) -> list[Segment]:
    """Epoch n covers (10(n-1), 10n]."""
    return [epoch(n, 10 * (n - 1), 10 * n) for n in range(1, count + 1)]


def compacted(first: int, last: int) -> Segment:
    return Segment("d", at(10 * (first - 1)), at(10 * last), first, last)


spans = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)).filter(lambda s: s[0] < s[1]), max_size=4)


@given(spans, st.integers(0, 8), st.randoms())
def test_a_chain_meets_end_to_end_whatever_was_compacted(wide: list[tuple[int, int]], cut: int, random) -> None:
    segments = epochs(8) + [compacted(*span) for span in wide]
    random.shuffle(segments)
    chain = build_chain("d", 1, at(10 * cut), segments, at(80))
    check_seam(chain.cut, chain.segments)
    covered = [n for s in chain.segments for n in range(s.first, s.last + 1)]
    assert covered == list(range(cut + 1, 9))
    assert chain.reached == at(80)


@given(spans, st.integers(0, 7), st.integers(1, 8))
def test_a_missing_epoch_is_a_hole_unless_a_compacted_segment_after_the_cut_stands_for_it(
    wide: list[tuple[int, int]], cut: int, gone: int
) -> None:
    assume(gone > cut)
    segments = [s for s in epochs(8) if s.first != gone] + [compacted(*span) for span in wide]
    stands_for_it = any(cut < first <= gone <= last for first, last in wide)
    if stands_for_it and leads_on(segments, cut):
        chain = build_chain("d", None, at(10 * cut), segments, at(80))
        check_seam(chain.cut, chain.segments)
        assert any(s.first <= gone <= s.last for s in chain.segments)
        return
    with pytest.raises(SeamlineError) as caught:
        build_chain("d", None, at(10 * cut), segments, at(80))
    assert caught.value.condition is Condition.SEAM_HOLE


def leads_on(segments: list[Segment], cut: int) -> bool:
    """Whether some path of segments leads from the cut to the end, found by trying all."""
    reached, before = {at(10 * cut)}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {s.end for s in segments if s.start in reached}
    return at(80) in reached


def test_a_hole_names_the_range() -> None:
    with pytest.raises(SeamlineError) as caught:
        build_chain("d", None, START, [epoch(1, 0, 10), epoch(3, 20, 30)], at(30))
    assert caught.value.condition is Condition.SEAM_HOLE
    assert caught.value.where == "(events/0:10] to (events/0:20]"


def test_an_overlap_names_the_range() -> None:
    with pytest.raises(SeamlineError) as caught:
        build_chain("d", None, START, [epoch(1, 0, 10), epoch(2, 8, 20)], at(20))
    assert caught.value.condition is Condition.SEAM_OVERLAP
    assert caught.value.where == "(events/0:8] to (events/0:10]"


def test_an_epoch_number_that_stands_twice_is_an_overlap() -> None:
    with pytest.raises(SeamlineError) as caught:
        build_chain("d", None, START, [epoch(1, 0, 10), epoch(1, 0, 10), epoch(2, 10, 20)], at(20))
    assert caught.value.condition is Condition.SEAM_OVERLAP


def test_a_cut_inside_an_epoch_is_an_overlap() -> None:
    with pytest.raises(SeamlineError) as caught:
        build_chain("d", 1, at(15), epochs(3), at(30))
    assert caught.value.condition is Condition.SEAM_OVERLAP


def test_epochs_that_do_not_reach_the_frontier_are_a_hole_at_the_end() -> None:
    with pytest.raises(SeamlineError) as caught:
        build_chain("d", 1, START, epochs(2), at(30))
    assert caught.value.condition is Condition.SEAM_HOLE


def test_a_chain_without_epochs_reaches_its_cut() -> None:
    chain = build_chain("d", 7, at(20), epochs(2), at(20))
    assert chain.segments == ()
    assert chain.reached == at(20)
    assert chain.epochs is None


def test_a_partition_that_appears_later_does_not_break_the_chain() -> None:
    both = Frontier({Partition("events@id", 0): 20, Partition("events@id", 1): 5})
    chain = build_chain("d", None, START, [epoch(1, 0, 10), Segment("d", at(10), both, 2, 2)], both)
    assert [s.first for s in chain.segments] == [1, 2]


def test_a_segment_that_goes_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="goes forward"):
        epoch(1, 10, 10)
