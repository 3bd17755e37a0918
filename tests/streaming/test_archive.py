"""The archive's guarantees: every record once, with its reason; what the ledger does not name never happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from dying import Death
from stream_parts import NOW, contract, event, make_project, memory_lake, open_archive, produce, records, running, tasks
from waiting import wait_until

from seamline.claims import claim
from seamline.commitpoint import hooked
from seamline.entries.archive import Imported
from seamline.entries.base import Counts
from seamline.errors import Condition, ConflictError, TransientError, UserError
from seamline.history.archive import ArchiveHistory
from seamline.lake import Lake
from seamline.schemas.project import Project, load_project
from seamline.sides.raw import RawFile
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import file_records, make_shelves
from seamline.streaming.archive.importing import import_events
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.archive.role import run_archive
from seamline.streaming.archive.tables import RawTable
from seamline.streaming.gathered import gather
from seamline.streaming.topic_check import no_check

CLICKS = contract()
TABLE = Lake.raw_path("clicks", CLICKS.layout)


def raw(lake: Lake, table: str = TABLE) -> list[dict[str, Any]]:
    """The rows that the ledger names."""
    version = ArchiveHistory(lake.archive_log("main")).tables[table]
    paths = [lake.absolute(path) for path in RawTable(lake, table, version=version).files()]
    rows = "SELECT * FROM raw ORDER BY _source, _partition, _offset, _reject NULLS LAST"
    return lake.kernel().run(rows, {"raw": paths}).to_pylist() if paths else []


def test_every_record_is_filed_under_its_date_with_its_bytes_and_its_reason() -> None:
    lake = memory_lake()
    values = [event(1), event(2, day=2), b"{", event(1)]
    entry = open_archive(lake, [CLICKS]).run_batch(tasks(records(values)))
    assert entry is not None
    assert entry.counts == {"clicks": Counts(read=4, counted=3, rejected=1)}
    assert entry.dates == {TABLE: (date(2026, 1, 1), date(2026, 1, 2))}
    rows = raw(lake)
    assert [row["_value"] for row in rows] == values
    assert [row["_reject"] for row in rows] == [None, None, "bad JSON", None]
    assert [row["n"] for row in rows] == [1, 2, None, 1]


@pytest.mark.parametrize("point", ["archive.before-delta", "archive.after-delta", "archive.after-entry"])
def test_killed_at_any_commit_point_files_once(point: str) -> None:
    lake = memory_lake()

    def die(reached: str) -> None:
        if reached == point:
            raise Death

    for first in range(3):
        batch = tasks(records([event(first)], first=first))
        with pytest.raises(Death), hooked(die):
            open_archive(lake, [CLICKS]).run_batch(batch)
        open_archive(lake, [CLICKS]).run_batch(batch)
    assert [row["_offset"] for row in raw(lake)] == [0, 1, 2]
    assert ArchiveHistory(lake.archive_log("main")).counts["clicks"] == Counts(read=3, counted=3)


def test_killed_while_a_table_is_restored_files_once() -> None:
    lake = memory_lake()
    open_archive(lake, [CLICKS]).run_batch(tasks(records([event(0)])))
    archive = open_archive(lake, [CLICKS])

    def die(reached: str) -> None:
        if reached == "archive.after-delta":
            raise Death

    with pytest.raises(Death), hooked(die):
        archive.run_batch(tasks(records([event(1)], first=1)))
    RawTable(lake, TABLE).restore(archive.history.tables[TABLE])  # and the process dies before any entry
    open_archive(lake, [CLICKS]).run_batch(tasks(records([event(1)], first=1)))
    assert [row["_offset"] for row in raw(lake)] == [0, 1]


def test_an_archive_that_lost_its_claim_changes_no_table() -> None:
    lake = memory_lake()
    old = open_archive(lake, [CLICKS])
    old.run_batch(tasks(records([event(0)])))
    new = open_archive(lake, [CLICKS])
    with pytest.raises(ConflictError) as refused:
        old.run_batch(tasks(records([event(1)], first=1)))
    assert refused.value.condition is Condition.WRITER_CONFLICT
    assert new.run_batch(tasks(records([event(1)], first=1))) is not None
    assert [row["_offset"] for row in raw(lake)] == [0, 1]


def test_what_a_process_without_a_claim_wrote_is_undone_at_the_next_start() -> None:
    lake = memory_lake()
    archive = open_archive(lake, [CLICKS])
    archive.run_batch(tasks(records([event(0)])))

    def write(point: str) -> None:
        if point == "archive.before-delta":
            RawTable(lake, TABLE).restore(0)

    with pytest.raises(TransientError) as caught, hooked(write):
        archive.run_batch(tasks(records([event(1)], first=1)))
    assert caught.value.condition is Condition.WRITER_CONFLICT
    open_archive(lake, [CLICKS]).run_batch(tasks(records([event(1)], first=1)))
    assert [row["_offset"] for row in raw(lake)] == [0, 1]


def test_an_attempt_that_lost_the_broker_before_its_entry_is_given_up_by_the_same_process() -> None:
    lake = memory_lake()
    archive, batch = open_archive(lake, [CLICKS]), tasks(records([event(0)]))

    def away() -> None:
        raise TransientError(Condition.BROKER_UNAVAILABLE, "gone")

    archive.check = away
    with pytest.raises(TransientError):
        archive.run_batch(batch)
    archive.check = no_check
    archive.begin(archive.origin)
    archive.run_batch(batch)
    archive.begin(archive.origin)
    archive.run_batch(tasks(records([event(1)], first=1)))
    assert [row["_offset"] for row in raw(lake)] == [0, 1]


def test_what_a_mended_contract_accepts_is_filed_again_once_under_its_date() -> None:
    lake = memory_lake()
    mended = contract(n="string")
    wrong = b'{"id": "7", "ts": "2026-01-02T00:00:00Z", "n": "7"}'
    open_archive(lake, [CLICKS]).run_batch(tasks(records([event(1), wrong, b"{"])))
    again = open_archive(lake, [mended], [CLICKS])
    entry = again.history.touched[-1]
    assert entry.start == entry.end
    assert entry.dates == {TABLE: (date(2026, 1, 2),)}
    assert again.history.counts["clicks"] == Counts(read=3, counted=2, rejected=1)
    entries = len(again.history.touched)
    third = open_archive(lake, [mended], [CLICKS])
    assert len(third.history.touched) == entries
    assert [row["_offset"] for row in raw(lake)] == [0, 1, 1, 2]


def test_a_field_of_another_type_is_kept_as_bytes_and_a_new_field_as_a_column() -> None:
    lake = memory_lake()
    open_archive(lake, [CLICKS]).run_batch(tasks(records([event(1)])))
    changed = contract(n="string")
    changed_value = b'{"id": "7", "ts": "2026-01-02T00:00:00Z", "n": "7"}'
    open_archive(lake, [changed], [CLICKS]).run_batch(tasks(records([changed_value], first=1)))
    last = raw(lake)[-1]
    assert last["_reject"] is None
    assert last["_contract_version"] == f"bytes:{changed.decoding}"
    assert (last["n"], last["_value"]) == (None, changed_value)


def test_another_layout_makes_a_new_table_filled_from_all_bytes() -> None:
    lake = memory_lake()
    values = [event(1), event(2, day=2), b"{"]
    open_archive(lake, [CLICKS]).run_batch(tasks(records(values)))
    text = CLICKS.text.replace("      - {property: seamline.eventId, value: id}\n", "")
    from seamline.schemas.contracts.contract import parse_contract

    other = parse_contract(text, "clicks.yaml")
    table = Lake.raw_path("clicks", other.layout)
    archive = open_archive(lake, [other], [CLICKS])
    assert [row["_value"] for row in raw(lake, table)] == values
    archive.run_batch(tasks(records([event(3)], first=3)))
    assert [len(raw(lake, one)) for one in (TABLE, table)] == [4, 4]


def test_putting_small_files_together_changes_no_row() -> None:
    lake = memory_lake()
    archive = open_archive(lake, [CLICKS])
    for number in range(25):
        archive.run_batch(tasks(records([event(number)], first=number)))
    before = raw(lake)
    entry = archive.maintain()
    assert entry is not None
    assert raw(lake) == before
    assert len(RawTable(lake, TABLE).files()) == 1


def test_what_deltas_log_says_of_files_put_together_is_how_many_rows_and_no_value() -> None:
    lake = memory_lake()
    archive = open_archive(lake, [CLICKS])
    for number in range(25):
        archive.run_batch(tasks(records([event(number), b"{"], first=2 * number)))
    assert archive.maintain() is not None
    commits = [Path(lake.absolute(path)) for path in RawTable(lake, TABLE).log_files(-1) if path.endswith(".json")]
    actions = [json.loads(line) for commit in commits for line in commit.read_text().splitlines()]
    stats = [json.loads(action["add"]["stats"]) for action in actions if "add" in action]
    together = [one for one in stats if one["numRecords"] == 25]
    assert sorted(one["nullCount"]["_reject"] for one in together) == [0, 25]
    values = [name for one in stats for end in ("minValues", "maxValues") for name in one.get(end, {})]
    assert set(values) <= {"_reject"}


def project_of(folder: Path) -> Project:
    return make_project(folder, "127.0.0.1:1", "clicks")


def test_a_file_is_imported_once_with_its_row_numbers_as_offsets(tmp_path: Path) -> None:
    project = project_of(tmp_path / "p")
    values = [event(1), event(2), b"{"]
    done = import_events(project, "clicks", lambda: values)
    assert (done.already, done.counts) == (False, Counts(read=3, counted=2, rejected=1))
    assert import_events(project, "clicks", lambda: values).already
    history = ArchiveHistory(project.lake.archive_log("main"))
    assert [(one.source, one.rows) for one in history.imports.values()] == [(done.source, 3)]
    assert [(row["_source"], row["_offset"]) for row in raw(project.lake)] == [(done.source, n) for n in range(3)]


def test_a_file_that_changes_while_it_is_imported_is_not_archived(tmp_path: Path) -> None:
    project = project_of(tmp_path / "p")
    looks = iter([[event(1)], [event(1), event(2)]])
    with pytest.raises(UserError, match="changed between two looks"):
        import_events(project, "clicks", lambda: next(looks))
    assert not ArchiveHistory(project.lake.archive_log("main")).imports


def test_an_import_whose_files_have_grown_old_is_not_asked_for(tmp_path: Path) -> None:
    project = project_of(tmp_path / "p")
    hours = iter([0, 85])
    with pytest.raises(TransientError) as caught:
        import_events(project, "clicks", lambda: [event(1)], clock=lambda: NOW + timedelta(hours=next(hours)))
    assert caught.value.condition is Condition.STORE_UNAVAILABLE
    assert not list(Inbox(project.lake, "main").requests())


def test_an_import_waits_for_the_running_archive_to_take_it(tmp_path: Path) -> None:
    import threading

    from seamline.streaming.archive.inbox import Inbox

    project = project_of(tmp_path / "p")
    with claim(project.lake, project.lake.archive_log("main"), "archive") as writer:
        archive = Archive(project.lake, "main", writer, make_shelves(project.contracts_of("main"), [], "main"))
        imported = threading.Thread(target=lambda: import_events(project, "clicks", lambda: [event(1)]))
        imported.start()
        wait_until(lambda: archive.take_all(Inbox(project.lake, "main")), 30, "the request is there")
        imported.join(30)
        assert not imported.is_alive()
    assert len(raw(project.lake)) == 1


# ---------------------------------------------------------------- through Spark and a broker


def archived(project: Project) -> int:
    return sum(one.read for one in ArchiveHistory(project.lake.archive_log("main")).counts.values())


def test_a_running_archive_files_each_record_and_an_import_once(
    broker: Any, spark: Any, fresh_topic: Callable[..., str], tmp_path: Path
) -> None:
    topic = fresh_topic(2)
    project = make_project(tmp_path / "p", broker.bootstrap, topic)
    values = [event(n, day=1 + n % 3) for n in range(60)] + [b"?"]
    produce(broker.bootstrap, topic, values)
    with running(run_archive, project, spark) as raised:
        wait_until(lambda: raised or archived(project) == 61, 90, "all records archived")
        produce(broker.bootstrap, topic, [event(1)])
        import_events(load_project(project.folder), "clicks", lambda: [event(900)])
        wait_until(lambda: raised or archived(project) == 63, 60, "the rest and the import archived")
    assert not raised
    rows = raw(project.lake)
    assert sorted(row["_value"] for row in rows) == sorted([*values, event(1), event(900)])
    assert len({(row["_source"], row["_partition"], row["_offset"]) for row in rows}) == 63


@pytest.mark.parametrize("lives_on", [False, True], ids=["gone", "lives on in a definition"])
@pytest.mark.parametrize("says", [False, True], ids=["written before", "says its tables"])
def test_an_import_that_waits_while_the_event_id_changes_is_filed_by_the_one_in_force(
    lives_on: bool, says: bool
) -> None:
    lake, older = memory_lake(), contract()
    newer, values = replace(older, event_id="n"), [event(1), b"{", event(2)]
    written = open_archive(lake, [older])
    (mine,) = (shelf for shelf in written.shelves if shelf.contract)
    seen = gather(file_records(written.engine, lake, [mine], records(values, source="import:f")))
    imported, files = Imported(source="import:f", contract="clicks", rows=3), [RawFile(**one) for one in seen.files]
    Inbox(lake, "main").put(
        imported, files, {"clicks": Counts(read=3, rejected=1, counted=2)}, [mine.table] if says else []
    )
    archive = open_archive(lake, [newer], live=[older] if lives_on else [])
    assert archive.take_all(Inbox(lake, "main")) == 1
    tables = [Lake.raw_path("clicks", one.layout) for one in ([newer, older] if lives_on else [newer])]
    for table in tables:
        assert sorted(row["_value"] for row in raw(lake, table)) == sorted(values)
    counts = ArchiveHistory(lake.archive_log("main")).counts
    assert counts["clicks"] == Counts(read=3, rejected=1, counted=2)
    assert archive.take_all(Inbox(lake, "main")) == 0
