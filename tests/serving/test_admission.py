"""Callers take turns for workers, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import Condition, SeamlineError
from seamline.serving.workers.admission import Admission


def run_in_turn(asked: list[str], places: int, each: int) -> tuple[list[str], int, dict[str, int]]:
    """The callers in the order that they were let in, how many were in at a time at most, and of each."""
    let_in: list[str] = []
    inside: list[str] = []
    most, of_each = 0, dict.fromkeys(asked, 0)

    async def one(admission: Admission, caller: str) -> None:
        nonlocal most
        async with admission.admitted(caller):
            let_in.append(caller)
            inside.append(caller)
            most = max(most, len(inside))
            of_each[caller] = max(of_each[caller], inside.count(caller))
            for _ in range(3):
                await asyncio.sleep(0)
            inside.remove(caller)

    async def every() -> None:
        admission = Admission(places, each=each, queue=100, seconds=30)
        await asyncio.gather(*(one(admission, caller) for caller in asked))

    asyncio.run(every())
    return let_in, most, of_each


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_all_are_let_in_and_never_too_many(asked: list[str], places: int, each: int) -> None:
    let_in, most, of_each = run_in_turn(asked, places, each)
    assert sorted(let_in) == sorted(asked)
    assert most <= places
    assert all(number <= each for number in of_each.values())


def test_one_caller_with_many_questions_does_not_keep_another_waiting_behind_them() -> None:
    let_in, _, _ = run_in_turn([*"aaaaaaaaaa", "b", "b"], 2, 2)
    assert [n for n, caller in enumerate(let_in) if caller == "b"][1] <= 6


def test_a_place_that_came_too_late_is_given_on() -> None:
    async def test() -> None:
        admission = Admission(1, each=1, queue=2, seconds=30)
        async with admission.admitted("a"):
            leaves = asyncio.create_task(admission.admitted("b").__aenter__())
            stays = asyncio.create_task(admission.admitted("c").__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(SeamlineError) as refused:
                await admission.admitted("d").__aenter__()
            assert refused.value.condition is Condition.SERVING_BUSY
        leaves.cancel()  # just when its turn has come
        async with asyncio.timeout(5):
            await stays

    asyncio.run(test())
