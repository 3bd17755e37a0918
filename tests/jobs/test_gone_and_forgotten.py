"""Event dates that go from raw, and records that are forgotten, in whatever order and wherever a process dies: what is
served is plain Python's, nothing is left of what was forgotten, and the proof says so of gone dates too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from expiring_world import DAYS, SALES, SETTINGS, TEXT, ExpiringWorld, Killed
from obstore.store import LocalStore

from seamline.commitpoint import EXPIRING, FORGETTING
from seamline.entries.batch import Version
from seamline.errors import Condition, SeamlineError
from seamline.history.forget import ForgetHistory
from seamline.jobs.clearing import clear, remove
from seamline.jobs.finding import wanted
from seamline.jobs.forgetting import ask, look
from seamline.operate.forget import requests
from seamline.operate.forgetproof import left, prove
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import load_project
from seamline.streaming.speed.maintenance import Maintenance


class Place(ExpiringWorld):
    """A world in a project's folder, of which shop a's records below an offset are to be forgotten."""

    def __init__(self, folder: Path) -> None:
        for name, text in (("contracts/orders.yaml", TEXT), ("views/sales.sql", SALES)):
            (folder / name).parent.mkdir()
            (folder / name).write_text(text)
        (folder / "seamline.toml").write_text('[lake]\nuri = "lake"\n')
        (folder / "lake").mkdir()
        self.project, self.until, self.unfound = load_project(folder), 0, 0
        super().__init__(folder / "lake", view=SALES, store=LocalStore(str(folder / "lake")))

    # the truth: what is forgotten was never sent

    @contextmanager
    def _without(self) -> Iterator[None]:
        sent = self.orders
        self.orders = [
            None if one is not None and one.shop == "a" and n < self.until else one for n, one in enumerate(sent)
        ]
        try:
            yield
        finally:
            self.orders = sent

    def check(self) -> None:
        with self._without():
            super().check()

    def archives_counts(self) -> tuple[int, int]:
        """Of dates that were gone no record could be found: the archive counts it still, as ever read."""
        read, counted = super().archives_counts()
        return read, counted + self.unfound

    # forgetting, step by step

    def ask(self, drop_gone: bool = False) -> int:
        engine = self.lake.kernel()
        found = look(self.lake, engine, [self.contract], wanted(engine, self.contract, "shop", ["a"]))
        return ask(self.lake, engine, found, self.clock, drop_gone=drop_gone)

    @property
    def forgets(self) -> ForgetHistory:
        return ForgetHistory(self.lake.forget_log("main"))

    def speeds_part(self) -> None:
        self.speed()
        assert self._speed is not None
        self._speed.look_for_forgotten()
        self._speed.announce()
        upkeep = Maintenance(self._speed, Catalogue(self.lake), SETTINGS)
        upkeep.forget()
        upkeep.remove()

    def archives_part(self) -> None:
        self.archive()
        self.process.forget()
        self.process.clear()

    def pursue(self) -> None:
        """Every process does its part, and an hour later what held the records is removed."""
        for _ in range(6):
            self.speeds_part()
            self.archives_part()
            why = clear(self.batch, "main")
            if not why:
                break
        assert not why
        self.speeds_part()
        self.clock.advance(timedelta(hours=2))
        remove(self.lake, "main", self.clock())
        self.speeds_part()
        self.archives_part()
        self.until = max(one.until[at] for one in self.forgets.requests.values() for at in one.until)
        mine = [one for one in self.orders[: self.until] if one is not None and one.shop == "a" and one.valid]
        self.unfound = sum(self.begins is not None and one.day < self.begins for one in mine)

    def finish(self) -> None:
        """All of it, after which the proof finds nothing, and the world goes on."""
        self.pursue()
        self.check()
        (number,) = self.forgets.requests
        assert prove(self.project, "main") == {number: []}
        assert self.forgets.forgotten.keys() == {number}
        (receipt,) = requests(self.project)
        assert (receipt.state, receipt.records) == ("forgotten", receipt.counted + receipt.rejected)
        assert not [row for row in self.rows("sales") if row[1] == "a"]
        assert self.version.begins == ({"orders": self.begins} if self.begins else {})
        self.produce(self.order(), self.order())
        self.both()
        self.refresh_all()
        self.check()

    @property
    def version(self) -> Version:
        version = self.state("sales")[1]
        assert version is not None
        return version


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Ten days of one view, of which the first can go."""
    made = Place(tmp_path)
    made.produce(made.order(), made.order(0.6), None, made.order(1.6), made.order(5))
    made.both()
    made.refresh_all()
    made.age()
    made.check()
    return made


def comes_back(place: Place) -> None:
    """Processes start anew, and the archive has seen a time again."""
    place.lose_memory()
    place.produce(place.order())
    place.both()
    place.refresh_all()


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("step", sorted(EXPIRING))
def test_records_are_forgotten_as_dates_go(place: Place, step: str, dies: bool) -> None:
    """Before the entry nobody can know: what is asked then is taken as said."""

    def meanwhile() -> None:
        if step == "archive.after-begins":
            with pytest.raises(SeamlineError) as refused:
                place.ask()
            assert refused.value.condition is Condition.OUT_OF_RETENTION
        place.ask(drop_gone=step == "archive.after-begins")
        if dies:
            raise Killed

    assert place.die_at(step, place.let_go, meanwhile)
    went = step == "archive.after-begins" or not dies
    assert (place.begins is not None) == went
    comes_back(place)
    assert "request 1 to forget" in place.let_go().get("orders", "request 1 to forget")
    assert (place.begins is not None) == went
    place.finish()


def test_dates_go_again_once_it_is_proved_that_records_are_forgotten(place: Place) -> None:
    place.ask()
    place.finish()
    assert place.begins is None
    for _ in range(3):
        place.clock.advance(DAYS)
        place.settle()
    assert "gone before" in place.let_go()["orders"]
    place.check()


FORGETS: dict[str, Callable[[Place], Any]] = {
    "forget.after-file": Place.ask,
    "forget.after-request": Place.ask,
    **dict.fromkeys(sorted(FORGETTING - {"forget.after-file", "forget.after-request"}), Place.pursue),
}


@pytest.mark.parametrize("step", FORGETS)
def test_dates_wait_for_a_request_wherever_its_processes_die(place: Place, step: str) -> None:
    """But for one that was not put yet; that is asked for again, by who then has to say what becomes of gone dates."""
    if step not in ("forget.after-file", "forget.after-request"):
        place.ask()
    assert place.die_at(step, lambda: FORGETS[step](place)), "nobody came there"
    place.until = 0 if step == "forget.after-file" else place.until
    place.lose_memory()
    place.speed()
    if step != "forget.after-file":
        place.clock.advance(3 * DAYS)  # that the archive has touched the dates is long past
    place.produce(place.order())
    place.archive()
    told = place.let_go()["orders"]
    if step == "forget.after-file":
        assert "gone before" in told
        with pytest.raises(SeamlineError) as refused:
            place.ask()
        assert refused.value.condition is Condition.OUT_OF_RETENTION
        place.ask(drop_gone=True)
    else:
        assert "request 1 to forget records is not done yet" in told
        assert place.begins is None
    place.finish()


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("step", ["forget.after-file", "forget.after-request"])
def test_dates_go_as_a_request_is_put(place: Place, step: str, dies: bool) -> None:
    def meanwhile() -> None:
        told = place.let_go()["orders"]
        assert ("gone before" in told) == (step == "forget.after-file"), told
        if dies:
            raise Killed

    assert place.die_at(step, place.ask, meanwhile)
    if dies and step == "forget.after-file":
        place.ask(drop_gone=True)
    assert not place.forgets.requests[1].drop_gone or dies
    place.finish()


def test_the_proof_finds_what_stands_of_gone_dates(place: Place) -> None:
    """Their raw files, which no version names and the vacuum has not reached; their partials; a version's entry."""
    place.let_go()
    first, before = place.begins, set(place.folder.rglob("*.parquet"))
    assert first is not None
    place.ask(drop_gone=True)
    for part in (place.speeds_part, place.archives_part, place.speeds_part, place.archives_part):
        part()
    while clear(place.batch, "main"):
        place.speeds_part()
        place.archives_part()
    request, cleared = place.forgets.requests[1], place.forgets.cleared[1]

    def found() -> list[str]:
        return left(place.lake, place.lake.kernel(), "main", 1, request, cleared)

    days = [day for day in (first - n * DAYS for n in range(1, 12)) if any(str(day) in str(path) for path in before)]
    stands = [path for path in found() if any(str(day) in path for day in days)]
    assert {path.partition("/")[0] for path in stands} == {"raw", "batch"}
    held = (place.folder / stands[0]).read_bytes()
    assert prove(place.project, "main")[1], "an hour has passed on this machine's clock, and nothing was removed"
    assert not place.forgets.forgotten
    place.speeds_part()
    place.clock.advance(timedelta(hours=2))
    remove(place.lake, "main", place.clock())
    assert {path.partition("/")[0] for path in found()} == {"raw"} | ({"ledger"} if _epochs(found()) else set())
    place.speeds_part()
    place.archives_part()
    assert found() == []
    planted = place.folder / stands[0]
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_bytes(held)
    assert found() == [stands[0]]
    planted.unlink()
    assert prove(place.project, "main") == {1: []}


def _epochs(paths: list[str]) -> bool:
    return any(path.startswith("ledger/") for path in paths)
