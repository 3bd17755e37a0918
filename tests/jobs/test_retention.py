"""Retention of the batch layer: what is served, restorable or reserved stays with all it builds on.

The rest goes oldest first, and files a day after the last entry that lists them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import batch_parts
import obstore
import pytest
from batch_parts import lake_of
from handmade import Handmade
from obstore.store import MemoryStore

from seamline.commitpoint import hooked
from seamline.config import Settings
from seamline.entries.base import DataFile
from seamline.entries.batch import Reserved, Version
from seamline.frontier import START
from seamline.history.batch import BatchHistory
from seamline.history.views import ViewHistory
from seamline.jobs.retention import Retained, lowest_needed, retain
from seamline.ledger import Log
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.states import drop_view
from seamline.schemas.views.properties import Keep

NOW = datetime(2026, 1, 2, tzinfo=UTC)
A_DAY = timedelta(days=1)
UNKNOWN = "0123456789abcdef"
"""A definition that no view has ever named."""

NONE, NEWEST = Keep(), Keep(versions=1)


def version(base: int | None = None, *paths: str, complete: bool = False) -> Version:
    files = {"orders/2026-01-01": tuple(DataFile(path=path, rows=1) for path in paths)}
    return Version(
        at=NOW, run="r", cut=START, base=base, complete=complete or base is None, units=files, archive_entry=1,
        kernel="k",
    )  # fmt: skip


def reserved(base: int | None = None, lasting: timedelta = A_DAY) -> Reserved:
    return Reserved(at=NOW, run="r", cut=START, until=NOW + lasting, base=base, archive_entry=1)


def lowest(*entries: Version | Reserved, keep: Keep = NONE, served: int | None = None) -> int:
    """The lowest entry that is needed, a second before a day has passed."""
    log = Log(MemoryStore(), "batch/d")
    for number, entry in enumerate(entries, 1):
        log.put(number, entry)
    return lowest_needed(BatchHistory(log), keep, served, NOW + A_DAY - timedelta(seconds=1))


def test_a_version_stays_with_those_it_builds_on_down_to_a_complete_one() -> None:
    chain = (version(), version(), version(2), version(3), version())
    assert lowest(*chain, keep=NEWEST) == 5
    assert lowest(*chain, keep=NEWEST, served=4) == 2
    assert lowest(*chain, version(4, complete=True), served=6) == 6, "a complete one lists all files itself"
    assert lowest(*chain, keep=NEWEST, served=99) == 5, "a version that is gone needs nothing"


def test_a_reservation_that_holds_stays_with_its_base_and_is_over_when_it_says() -> None:
    second = timedelta(seconds=1)
    assert lowest(version(), reserved(), version(), keep=NEWEST) == 2
    assert lowest(version(), version(), reserved(base=1), version(), keep=NEWEST) == 1
    assert lowest(version(), version(), reserved(base=1, lasting=A_DAY - second), version(), keep=NEWEST) == 4


def test_the_last_entry_stays_where_nothing_is_needed() -> None:
    assert lowest(version(), version(), version()) == 3
    assert lowest(version(), reserved(lasting=timedelta(0))) == 2


def dropped(made: Handmade) -> str:
    """The definition of a view that is served no more."""
    made.view("CREATE MATERIALIZED VIEW gone AS SELECT placed::DATE AS day, count(*) AS orders FROM orders GROUP BY 1")
    drop_view(made.lake, "gone", made.clock)
    return Catalogue(made.lake).states["gone"].definitions[0].definition


def made(folder: Path) -> Handmade:
    """A view with five versions that list a file each, the third of them served, and files that none lists."""
    made = Handmade(folder)
    log = made.lake.batch_log(made.served().hash)
    for number in range(1, 6):
        log.put(number, version(None, f"batch/listed{number}"))
        obstore.put(made.lake.store, f"batch/listed{number}", b"")
    made.publish(3)
    for hash_ in (dropped(made), UNKNOWN):
        for number in (1, 2, 3):
            made.lake.batch_log(hash_).put(number, version())
    for path in ("speed/stray", "runs/r/done", "batch/stray"):
        obstore.put(made.lake.store, path, b"")
    made.clock.advance(obstore.head(made.lake.store, path)["last_modified"] - made.clock())
    return made


def paths(made: Handmade) -> set[str]:
    """The data files that stand."""
    found = {item["path"] for batch in obstore.list(made.lake.store) for item in batch}
    return {path for path in found if not path.startswith(("ledger/", "hints/"))}


SETTINGS = Settings(batch={"keep_versions": 1})

STATES = 2
"""Entries of views that a newer state holds: the first of each."""


def test_older_versions_go_and_what_is_served_stays(tmp_path: Path) -> None:
    lake = made(tmp_path)
    assert retain(lake.lake, SETTINGS, lake.clock) == Retained(entries=2 + 2 + STATES, files=0, markers=0)
    assert sorted(BatchHistory(lake.lake.batch_log(lake.served().hash)).versions) == [3, 4, 5]
    dropped = Catalogue(lake.lake).states["gone"].definitions[0].definition
    assert sorted(BatchHistory(lake.lake.batch_log(dropped)).versions) == [3], "its last entry stays"
    assert lake.lake.batch_log(UNKNOWN).numbers() == [1, 2, 3], "no view's log says what of it may go"
    assert retain(lake.lake, SETTINGS, lake.clock) == Retained(entries=0, files=0, markers=0)


def test_every_version_of_a_live_definition_is_kept_that_is_asked_for(tmp_path: Path) -> None:
    lake = made(tmp_path)
    assert retain(lake.lake, Settings(batch={"keep_versions": 4}), lake.clock).entries == 1 + 2 + STATES


@pytest.mark.parametrize("young", [True, False])
def test_files_that_no_entry_lists_go_once_they_are_older_than_a_day(tmp_path: Path, young: bool) -> None:
    lake = made(tmp_path)
    lake.clock.advance(A_DAY if young else A_DAY + timedelta(seconds=1))
    listed = {f"batch/listed{number}" for number in range(1, 6)}
    retained = retain(lake.lake, SETTINGS, lake.clock)
    assert (retained.files, retained.markers) == ((0, 1) if young else (1, 1))
    unlisted = {"batch/stray"} if young else set()
    assert paths(lake) == listed | unlisted | {"speed/stray"}, "a file goes a pass after the entry that listed it"
    assert retain(lake.lake, SETTINGS, lake.clock).files == 2


def test_a_pass_withdraws_once_and_looks_again_where_another_put_first() -> None:
    lake = lake_of([], [], *(batch_parts.version(10) for _ in range(9)))
    settings, view = Settings(), lake.view_log("per_hour")
    others = [Catalogue(lake).states["per_hour"]]

    def put_first(point: str) -> None:
        if point == "retention.before-view" and others:
            view.put(2, others.pop().model_copy(update={"attempt": "another"}))

    with hooked(put_first):
        retain(lake, settings, lambda: NOW)
    withdrawn = ViewHistory(view).withdrawn
    assert (others, list(withdrawn)) == ([], [batch_parts.D])
    assert withdrawn[batch_parts.D] == 10 - settings.batch.keep_versions
    retain(lake, settings, lambda: NOW)
    assert view.last() == 3


def test_a_version_that_is_published_between_two_looks_keeps_what_it_builds_on(tmp_path: Path) -> None:
    made, published = Handmade(tmp_path), list[int]()
    definition = made.served().hash
    log = made.lake.batch_log(definition)
    for number in range(1, 6):
        log.put(number, version())
    made.publish(5)

    def publish(point: str) -> None:
        if point == "retention.before-view" and not published:
            log.put(6, version(2))
            made.publish(6)
            published.append(6)

    with hooked(publish):
        retain(made.lake, SETTINGS, made.clock)
    history = BatchHistory(log)
    assert published
    assert history.withdrawn == ViewHistory(made.lake.view_log("sales")).withdrawn[definition] == 2
    assert [number for number, _ in history.lineage(6)] == [6, 2]
