"""Units: one event date of raw to partials, counted once whatever stands twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from lakes import DAY, Bench, contract, order, orders

from seamline.entries.base import Counts
from seamline.frontier import START, Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.jobs.holding import Tally
from seamline.jobs.spark_runner import ENOUGH_ROWS, SHARES, share_out
from seamline.jobs.statements import Statements
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.unit_statements import Served, mended_statement, unit_statements
from seamline.jobs.work import local_runner, run_unit
from seamline.operate.spark_units import step_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.judged import within
from seamline.sides.raw import by_day, raw_files
from seamline.units import Unit


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def unit(bench: Bench, cut: Frontier | None = None, imports: tuple[str, ...] = ()) -> UnitResult:
    """Runs the unit of DAY."""
    catalogue = Catalogue(bench.lake)
    (definition,) = catalogue.live()
    table = bench.lake.raw_path("orders", bench.contract.layout)
    version = ArchiveHistory(bench.lake.archive_log("main")).tables[table]
    files = by_day(raw_files(bench.lake, table, version))[DAY.date()]
    (one,) = catalogue.contracts(definition.hash)
    statements = unit_statements(definition, one, Unit("", DAY.date()), cut or bench.end, imports)
    paths = tuple(f.path for f in files)
    task = UnitTask(bench.lake.uri, definition.hash, "", Unit("", DAY.date()), paths, statements)
    return run_unit(bench.lake, bench.lake.kernel(), task)


def test_counts_of_a_unit_add_up_and_copies_count_once(bench: Bench) -> None:
    bench.send(*orders(4), order("o1", amount=1, shop="b"), b'{"id": 1}', None)
    bench.archive()
    result = unit(bench)
    assert result.counts == Counts(read=5, counted=4, duplicate=1)
    assert result.disagreeing == 0
    assert result.file is not None
    assert result.file.rows == 2


def test_records_at_or_above_the_cut_are_left_out(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.send(*orders(4, "p"), partition=1)
    bench.archive()
    cut = Frontier({Partition(bench.source, 0): 2, Partition(bench.source, 1): 1})
    assert unit(bench, cut).counts == Counts(read=3, counted=3)


def test_rows_of_an_import_belong_whole_or_not_at_all(bench: Bench) -> None:
    bench.send(*orders(2))
    bench.archive()
    source = bench.import_file("f", *orders(5))
    assert unit(bench).counts == Counts(read=2, counted=2)
    assert unit(bench, imports=(source,)).counts == Counts(read=7, counted=5, duplicate=2)


def test_copies_that_disagree_are_reported_and_the_lowest_position_stays(bench: Bench) -> None:
    bench.send(order("x", amount=5), order("x", amount=6), order("x", amount=5))
    bench.archive()
    result = unit(bench)
    assert (result.counts.counted, result.disagreeing) == (1, 1)
    assert result.file is not None
    rows = bench.lake.kernel().run("SELECT amount FROM f", {"f": bench.lake.read([result.file.path])})
    assert rows["amount"].to_pylist() == [5]


def test_a_position_that_stands_twice_counts_once(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.archive()
    bench._append(bench.records(START, bench.end), ArchiveHistory(bench.lake.archive_log("main")), bench.end, ())
    assert unit(bench).counts == Counts(read=3, counted=3)


def test_rows_of_another_decoding_are_decoded_again_from_their_bytes(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.archive()
    bench.contract = contract(", logicalTypeOptions: {maximum: 1}")
    bench.send(*orders(3, "p"))
    bench.archive()
    # p2 was rejected and stands under the date of its Kafka timestamp, which is another unit
    assert unit(bench).counts == Counts(read=5, counted=5)


@pytest.mark.parametrize("served", [False, True])
def test_the_statements_of_a_unit(bench: Bench, golden: Callable[[str, str], None], served: bool) -> None:
    (definition,) = Catalogue(bench.lake).live()
    cut = Frontier({Partition("orders@i", 0): 7, Partition("orders@i", 1): 9})
    before = Served(Frontier({Partition("orders@i", 0): 3}), version=True, known=True) if served else None
    found = unit_statements(
        definition, contract(), Unit("", date(2024, 5, 1)), cut, ("import:f",), mended=True, served=before
    )
    name = "served" if served else "recomputed"
    golden(f"units/{name}_tally.sql", found.tally)
    golden(f"units/{name}_survey.sql", found.survey(own=True, again=True))
    golden(f"units/{name}_partials.sql", found.partials(own=True, again=True, repeated=True, copies=True))
    if not served:
        tally = Tally(stood=90, foreign=0, rejected=1, positions=90, held=100)
        golden("units/simple_hashes.sql", found.hashes(tally))
        golden("units/simple_copies.sql", found.copies(tally))
        golden("units/simple_partials.sql", found.simple_partials(tally, copies=True))
        golden("units/plain_partials.sql", found.simple_partials(Tally(9, 0, 0, 9, 9), copies=False))
        golden("units/mended.sql", mended_statement(contract(), cut, ()))


@pytest.mark.parametrize("copies", [0, 1, 30])
def test_the_simple_way_and_the_careful_way_agree(bench: Bench, monkeypatch: pytest.MonkeyPatch, copies: int) -> None:
    bench.send(*orders(40), b'{"id": 1}', None, order("", amount=9).replace(b'""', b"null"))
    bench.send(*orders(copies), *(order(f"o{n}", shop="b", amount=n + 1) for n in range(copies)), partition=1)
    bench.archive()
    simple = unit(bench)
    monkeypatch.setattr("seamline.jobs.work.MANY", -1)
    careful = unit(bench)
    without = {"file": None, "tally": ()}
    assert simple.model_copy(update=without) == careful.model_copy(update=without)
    assert simple.counts.duplicate == 2 * copies
    rows = [bench.lake.kernel().run("SELECT * FROM f ORDER BY ALL", {"f": bench.lake.read([r.file.path])})
            for r in (simple, careful) if r.file]  # fmt: skip
    assert rows[0].to_pylist() == rows[1].to_pylist()


def test_within_nothing_is_nothing() -> None:
    assert within(START, ()) == "false"


def test_an_event_without_an_id_is_never_a_copy(bench: Bench) -> None:
    same = order("", DAY).replace(b'"id": ""', b'"id": null')
    bench.send(same, same, same.replace(b"null", b'""'), order("", DAY + timedelta(0)))
    bench.archive()
    assert unit(bench).counts == Counts(read=4, counted=3, duplicate=1)


def test_every_unit_is_in_one_share_and_shares_are_even(bench: Bench) -> None:
    (definition,) = Catalogue(bench.lake).live()
    statements = unit_statements(definition, contract(), Unit("", DAY.date()), START, ())
    days = [DAY.date() + timedelta(days=n) for n in range(100)]
    tasks = [UnitTask("", "", "", Unit("", day), (), statements, size=1000 + n) for n, day in enumerate(days)]
    shares = share_out([(task,) for task in tasks], cores=2)
    assert sorted(task.of.day for share in shares for (task,) in share) == days
    sizes = [sum(task.size for (task,) in share) for share in shares]
    assert len(shares) == SHARES * 2
    assert max(sizes) - min(sizes) < 1100
    assert [len(share) for share in share_out([(task,) for task in tasks[:3]], cores=64)] == [1, 1, 1]
    known = [(replace(task, rows=ENOUGH_ROWS // 20),) for task in tasks]
    assert [len(share_out(known, cores)) for cores in (2, 4, 64)] == [5, 5, 64]  # no core is idle for fewer tasks


def test_other_events_of_the_same_hash_are_no_copies(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.send(*orders(40), *(order(f"o{n}", shop="b", amount=n + 1) for n in range(3)))
    bench.archive()
    found = unit(bench)
    assert found.counts == Counts(read=43, counted=40, duplicate=3)
    monkeypatch.setattr(Statements, "hash", property(lambda self: "42::UBIGINT"))
    assert unit(bench).model_copy(update={"file": None}) == found.model_copy(update={"file": None})


def test_units_that_only_the_audit_recomputes_are_counted_apart(bench: Bench) -> None:
    bench.send(*orders(4), order("o9", shop="b"))
    bench.both()
    steps: list[str] = []

    def runner(tasks: list[UnitTask]) -> Iterable[UnitResult]:
        steps.append(step_of(tasks))
        return local_runner(bench.lake)(tasks)

    replace(bench.batch, runner=runner).refresh("sales")
    assert steps[0] == "units"
    assert set(steps[1:]) <= {"units of the audit"}
