"""A retention, a rollback or a run that is frozen where it matters, for days, while the others go on: what is served
answers right afterwards, and every version that can be chosen has all of its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lakes import Bench, orders
from obstore.store import LocalStore

from seamline.commitpoint import hooked
from seamline.config import Settings
from seamline.errors import Condition, ConflictError, SeamlineError, TransientError
from seamline.jobs.decide import decide
from seamline.jobs.reserve import reserve
from seamline.jobs.retention import retain
from seamline.jobs.stages import Decided

DAYS = timedelta(days=3)
NEWEST_ONLY = Settings(batch={"keep_versions": 1})
SENT = orders(12)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Three versions, each complete, of which the newest is served."""
    bench = Bench(tmp_path, store=LocalStore(str(tmp_path)))
    bench.clock.advance(datetime.now(UTC) - bench.clock())  # by which files are dated
    for n in range(0, 9, 3):
        send(bench, n)
        bench.batch.rebuild("sales")
    return bench


def send(bench: Bench, first: int) -> None:
    bench.send(*SENT[first : first + 3])
    bench.both()


def numbers(bench: Bench) -> list[int]:
    """The versions that can be chosen."""
    return sorted(bench.versions().versions)


def once(at: str, meanwhile: Callable[[], object]) -> Callable[[str], None]:
    """Does something while a process is frozen where it first reaches a point."""
    left = [meanwhile]

    def hook(point: str) -> None:
        if point == at and left:
            left.pop()()

    return hook


def retention(bench: Bench) -> None:
    """Two passes, days apart: entries go in the first one, and their files in the second."""
    for _ in range(2):
        bench.clock.advance(DAYS)
        retain(bench.lake, NEWEST_ONLY, bench.clock)


def check(bench: Bench, sent: int) -> None:
    """After any later retention, too."""
    for _ in range(2):
        assert bench.answer() == bench.expected(*SENT[:sent])
        history = bench.versions()
        for number in numbers(bench):
            listed = {file.path for files in history.files(number).values() for file in files}
            assert {path for path in listed if not (bench.folder / path).is_file()} == set(), f"version {number}"
        retention(bench)


def rolled_back(bench: Bench, version: int) -> Condition | None:
    """What an operator who chooses a version is told."""
    try:
        bench.batch.rollback("sales", version)
    except SeamlineError as error:
        return error.condition
    return None


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ("retention.before-view", None),
        ("retention.after-view", Condition.OUT_OF_RETENTION),
        ("retention.after-settled", Condition.OUT_OF_RETENTION),
    ],
)
def test_a_rollback_while_retention_is_frozen_is_served_or_refused(
    bench: Bench, point: str, told: Condition | None
) -> None:
    first, second, newest = numbers(bench)
    said = []
    with hooked(once(point, lambda: said.append((rolled_back(bench, first), numbers(bench))))):
        retention(bench)
    listed = [newest] if point == "retention.after-settled" else [first, second, newest]
    assert said == [(told, listed)]
    assert bench.served[1] == (newest if told else first)
    check(bench, 9)


def test_a_rollback_that_is_frozen_before_its_entry_is_refused_what_is_withdrawn_meanwhile(bench: Bench) -> None:
    first, _, newest = numbers(bench)
    with hooked(once("view.before-entry", lambda: retention(bench))):
        assert rolled_back(bench, first) is Condition.OUT_OF_RETENTION
    assert (bench.served[1], numbers(bench)) == (newest, [newest])
    check(bench, 9)


@pytest.mark.parametrize("point", ["retention.before-view", "retention.after-view", "retention.after-settled"])
@pytest.mark.parametrize("rebuild", [False, True])
def test_a_run_while_retention_is_frozen_keeps_its_files(bench: Bench, point: str, rebuild: bool) -> None:
    send(bench, 9)

    def run() -> None:
        bench.clock.advance(DAYS)
        bench.clock.advance(datetime.now(UTC) - bench.clock())  # what it writes is dated by the true time
        (bench.batch.rebuild if rebuild else bench.batch.refresh)("sales")

    with hooked(once(point, run)):
        retention(bench)
    assert bench.versions().versions[bench.served[1] or 0].cut == bench.end
    check(bench, 12)


@pytest.mark.parametrize("withdrawing", [False, True])
def test_a_run_that_is_frozen_before_its_version_names_no_files_that_were_swept(
    bench: Bench, withdrawing: bool
) -> None:
    if not withdrawing:
        retention(bench)
    send(bench, 9)
    before = numbers(bench)
    with hooked(once("batch.before-version", lambda: retention(bench))):
        outcome = bench.batch.refresh("sales")
    assert outcome.version is not None
    assert set(numbers(bench)) - set(before) == {outcome.version}, "what it had made before is made again"
    check(bench, 12)


def test_a_run_reserves_no_base_that_was_withdrawn_since_it_decided(bench: Bench) -> None:
    send(bench, 9)
    _, base, newest = numbers(bench)
    bench.batch.rollback("sales", base)
    decided = decide(bench.batch, "sales", rebuild=False)
    assert isinstance(decided, Decided)
    assert decided.plan.base == base
    bench.batch.rollback("sales", newest)
    bench.clock.advance(DAYS)
    retain(bench.lake, NEWEST_ONLY, bench.clock)
    assert numbers(bench) == [newest]
    with pytest.raises(TransientError):
        reserve(bench.batch, decided)
    with pytest.raises(ConflictError):  # had it slept after its look at the clock
        reserve(bench.batch, replace(decided, at=bench.clock()))
