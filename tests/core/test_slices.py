"""What does not fit into the kernel's memory at once is done in slices and by halves, with the same result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import DAY, Bench
from obstore.store import LocalStore

from seamline.entries.base import Claim
from seamline.errors import Condition, TerminalError
from seamline.frontier import Frontier, Partition
from seamline.jobs.compare import GROUP, compare, largest
from seamline.jobs.unit import UnitTask
from seamline.jobs.unit_statements import unit_statements
from seamline.jobs.work import run_unit
from seamline.kernel import Kernel, Limits, in_bytes, out_of_memory
from seamline.ledger import Writer
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.definition import Definition
from seamline.serving.tail import Partials
from seamline.slices import MOST, Slice, in_slices, slices_for
from seamline.streaming.gathered import Gathered
from seamline.streaming.speed.compact import cover
from seamline.streaming.speed.epoch import Speed, commit_epoch
from seamline.streaming.speed.together import compact_run
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import POSITIONS
from seamline.units import Unit

VIEW = """\
CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, approx_quantile(amount, 0.5) AS middle,
       count(DISTINCT amount) AS amounts
FROM orders GROUP BY ALL
"""
GROUPS = 12_000
AT = "TIMESTAMPTZ '2024-05-01 12:00:00+00'"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, view=VIEW, store=LocalStore(str(tmp_path)))


@pytest.fixture
def small(bench: Bench, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of 40 MB that may read and write the bench's lake."""
    engine = Kernel(Limits((bench.lake.uri,), "40MB", 1, str(tmp_path / "spill")))
    yield engine
    engine.close()


def the_definition(bench: Bench) -> Definition:
    (definition,) = Catalogue(bench.lake).live()
    return definition


def partials(bench: Bench, name: str, events: str) -> str:
    """A file of the view's partial rows of events (a SELECT of i, shop and amount), made with memory enough."""
    path = bench.lake.batch_path("made", name, "x")
    made = f"SELECT i::VARCHAR AS id, {AT} AS placed, shop, amount, 0.5::DOUBLE AS weight FROM ({events})"
    statement = f"WITH events AS ({made})\n{the_definition(bench).partial}"
    bench.lake.write(bench.lake.kernel(), statement, {}, path)
    return path


def many_groups(shift: int = 0) -> str:
    amount = f"(i // {GROUPS} + {shift})::BIGINT"
    return f"SELECT i, 'shop' || i % {GROUPS} AS shop, {amount} AS amount FROM range({2 * GROUPS}) r(i)"


def one_group(number: int) -> str:
    return f"SELECT i, 'a' AS shop, (i + {number} * 30000)::BIGINT AS amount FROM range(30000) r(i)"


def too_small_for(statement: str, bench: Bench, paths: list[str], spill: Path) -> Kernel:
    """A kernel that the statement does not fit into at once: how much that takes is the engine's own affair."""
    for megabytes in (40, 30, 20, 10):
        engine = Kernel(Limits((bench.lake.uri,), f"{megabytes}MB", 1, str(spill)))
        try:
            engine.run(statement, {"partials": bench.lake.read(paths)})
        except TerminalError as error:
            assert error.condition is Condition.KERNEL_MEMORY
            return engine
        engine.close()
    pytest.fail("it fits into 10 MB: give it more groups")


def rows(table: pa.Table) -> list[dict[str, object]]:
    return sorted(table.drop_columns("middle").to_pylist(), key=str)  # a t-digest depends on the tree of merges


def merged(bench: Bench, paths: list[str]) -> list[dict[str, object]]:
    """What one statement with memory enough makes of files, finished."""
    statement = the_definition(bench).merge_and_finalise
    return rows(bench.lake.kernel().run(statement, {"partials": bench.lake.read(paths)}))


@given(st.dictionaries(st.integers(0, 1000), st.integers(1, 40), max_size=40), st.sampled_from([1, 2, 8]))
def test_slices_hold_every_row_once_however_often_they_are_halved(weights: dict[int, int], first: int) -> None:
    def work(one: Slice) -> list[int]:
        held = [row for row in weights if row % one.of == one.number]
        if len(held) > 1 and sum(weights[row] for row in held) > 40:
            raise out_of_memory("too much")
        return held

    assert sorted(row for held in in_slices(work, first, lambda: 1024) for row in held) == sorted(weights)


def test_what_no_slice_can_hold_is_an_error_that_names_the_setting() -> None:
    tried: list[int] = []

    def work(one: Slice) -> None:
        tried.append(one.of)
        raise out_of_memory("too much", "1GB")

    with pytest.raises(TerminalError) as caught:
        list(in_slices(work))
    assert caught.value.condition is Condition.KERNEL_MEMORY
    assert (caught.value.detail, tried[-1]) == ("kernel.memory = 1GB", MOST)
    assert "raise kernel.memory" in caught.value.hint


@pytest.mark.parametrize(
    ("memory", "bytes_"),
    [("1GB", 10**9), ("512 MiB", 512 << 20), ("1.5g", 1_500_000_000), ("64KB", 64_000), ("80%", 0), ("7", 7)],
)
def test_memory_is_read_as_the_kernel_reads_it(memory: str, bytes_: int) -> None:
    assert in_bytes(memory) == bytes_


def test_small_inputs_are_one_slice_and_large_ones_are_some() -> None:
    assert [slices_for(size, "1GB") for size in (0, 10**6, 25 * 10**6, 26 * 10**6, 10**9, 10**12)] == [
        1, 1, 1, 2, 64, MOST,
    ]  # fmt: skip
    assert slices_for(10**12, "80%") == 1


def test_a_statement_beyond_the_memory_is_no_defect(small: Kernel) -> None:
    with pytest.raises(TerminalError) as caught:
        small.run("SELECT list(i) AS l FROM range(10000000) r(i)")
    assert caught.value.condition is Condition.KERNEL_MEMORY
    assert caught.value.detail == "kernel.memory = 40MB"
    assert small.run("SELECT 1 AS a").num_rows == 1


@pytest.mark.parametrize("kind", ["many groups", pytest.param("one group", marks=pytest.mark.thorough)])
def test_merging_into_a_file_is_the_same_in_little_memory(bench: Bench, tmp_path: Path, kind: str) -> None:
    events = [many_groups(), many_groups(1)] if kind == "many groups" else [one_group(n % 2) for n in range(48)]
    paths = [partials(bench, f"u{n}", text) for n, text in enumerate(events)]
    merging = the_definition(bench).merging
    path = bench.lake.batch_path("made", "merged", "x")
    small = too_small_for(merging.statement, bench, paths, tmp_path / "spill")
    assert merging.write(bench.lake, small, paths, path) == (GROUPS if kind == "many groups" else 1)
    assert merged(bench, [path]) == merged(bench, paths)
    assert [file.name for file in Path(bench.lake.absolute(path)).parent.iterdir()] == ["x.parquet"]
    small.close()


def test_serving_merges_its_runs_in_little_memory(bench: Bench, small: Kernel) -> None:
    paths = [partials(bench, f"u{n}", text) for n, text in enumerate([many_groups(), many_groups(1)])]
    tables = [bench.lake.kernel().run("SELECT * FROM f", {"f": bench.lake.read([path])}) for path in paths]
    definition = the_definition(bench)
    found = Partials(bench.lake, small, definition).merge(tables)
    assert found.num_rows == GROUPS
    assert rows(bench.lake.kernel().run(definition.finalise, {"partials": found})) == merged(bench, paths)


@pytest.mark.thorough
def test_a_unit_makes_the_same_partials_in_little_memory(bench: Bench, small: Kernel) -> None:
    events = 150_000
    definition = the_definition(bench)
    raw = bench.lake.batch_path("made", "raw", "x")
    bench.lake.write(
        bench.lake.kernel(),
        f"SELECT '{bench.source}' AS _source, 0::INTEGER AS _partition, i::BIGINT AS _offset, {AT} AS _timestamp,"
        f" NULL::BLOB AS _key, NULL::BLOB AS _value, '{bench.contract.decoding}' AS _contract_version,"
        f" NULL::VARCHAR AS _reject, ({AT})::DATE AS _event_date, i::VARCHAR AS id, {AT} AS placed,"
        f" 'shop' || i % 75000 AS shop, i::BIGINT AS amount, 0.5::DOUBLE AS weight FROM range({events}) r(i)",
        {},
        raw,
    )
    cut = Frontier({Partition(bench.source, 0): events})
    (contract,), unit = Catalogue(bench.lake).contracts(definition.hash), Unit("", DAY.date())
    statements = replace(unit_statements(definition, contract, unit, cut, ()), event_id=None)
    task = UnitTask(bench.lake.uri, definition.hash, "", unit, (raw,), statements)
    files = [run_unit(bench.lake, engine, task).file for engine in (small, bench.lake.kernel())]
    found, expected = (merged(bench, [file.path]) for file in files if file is not None)
    assert found == expected
    assert [file.rows for file in files if file is not None] == [len(expected)] * 2
    assert len(list(Path(bench.lake.absolute(files[0].path if files[0] else "")).parent.iterdir())) == 2


def test_an_epoch_and_its_compaction_merge_in_little_memory(bench: Bench, small: Kernel) -> None:
    tables = [
        bench.lake.kernel().run("SELECT * FROM f", {"f": bench.lake.read([partials(bench, f"u{n}", text)])})
        for n, text in enumerate([many_groups(), many_groups(1)])
    ]
    definition, catalogue = the_definition(bench), Catalogue(bench.lake)
    writer = Writer.take(bench.lake.speed_log("main"), Claim(at=bench.clock(), holder="test"))
    plan = make_plan([bench.contract], [(definition, catalogue.contracts(definition.hash))])
    speed = Speed(bench.lake, "main", writer, plan, clock=bench.clock, engine=small)
    for number in (1, 2):
        end = Frontier({Partition(bench.source, 0): number})
        seen = Gathered(partials={(definition.hash, bench.contract.decoding): tables}, end=end)
        commit_epoch(speed, seen, POSITIONS.empty_table(), bench.clock())
    entry = compact_run(speed, tuple(cover(speed.history)), {definition.hash: definition.merging})
    file = entry.file(definition.hash)
    assert file is not None
    assert file.rows == GROUPS
    held = [speed.history.epochs[epoch].file(definition.hash) for epoch in (1, 2)]
    twice = [file.path for file in held if file is not None]
    assert merged(bench, [file.path]) == merged(bench, twice)


def test_an_audit_finds_the_same_in_little_memory(bench: Bench, small: Kernel) -> None:
    served = [partials(bench, "a", many_groups()), partials(bench, "b", many_groups(1))]
    other = "SELECT * REPLACE (CASE WHEN i = 77 THEN 'lost' WHEN i = 99 THEN NULL ELSE shop END AS shop)"
    recomputed = [served[0], partials(bench, "c", f"{other} FROM ({many_groups(1)})")]
    definition = the_definition(bench)
    enough = compare(bench.lake, bench.lake.kernel(), definition, served, recomputed)
    assert compare(bench.lake, small, definition, served, recomputed) == enough
    groups, drift = enough
    assert groups == GROUPS + 2
    assert {(d.column, d.groups) for d in drift} >= {(GROUP, 2), ("orders", 2)}


@pytest.mark.thorough
def test_an_audit_of_one_large_group_merges_its_files_first(bench: Bench, small: Kernel) -> None:
    served = [partials(bench, f"a{n}", one_group(n % 2)) for n in range(8)] * 8
    definition = the_definition(bench)
    assert compare(bench.lake, small, definition, served, served[4:]) == (
        compare(bench.lake, bench.lake.kernel(), definition, served, served[4:])
    )


def test_an_audit_finds_no_drift_in_digests_that_were_merged_in_another_tree(bench: Bench) -> None:
    served = [partials(bench, f"a{n}", one_group(n)) for n in range(4)]
    whole = " UNION ALL ".join(one_group(n) for n in range(4))
    definition, engine = the_definition(bench), bench.lake.kernel()
    assert compare(bench.lake, engine, definition, served, [partials(bench, "b", whole)]) == (1, ())


@pytest.mark.parametrize(
    ("kind", "largest_"),
    [("DOUBLE", "nan"), ("BIGINT", "100.0"), ("VARCHAR", "1 became 2")],
)
def test_the_largest_difference_of_all_slices_is_told(kind: str, largest_: str) -> None:
    found = {"DOUBLE": ["1.0", "nan", "inf"], "BIGINT": ["9.0", None, "100.0"], "VARCHAR": ["1 became 2", "3 became 1"]}
    assert largest(found[kind], kind) == largest_
    assert largest([None, None], kind) == ""
