"""Large records: whatever their bytes, each layer goes on in the memory that it has, and none is lost."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import DAY, Bench, contract
from obstore.store import LocalStore
from pyarrow import parquet

from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.frontier import Frontier
from seamline.jobs.repack import is_wide
from seamline.jobs.unit import UnitTask
from seamline.jobs.unit_statements import unit_statements
from seamline.jobs.work import run_unit
from seamline.kernel import GROUP_BYTES, Kernel, Limits, kernel
from seamline.portions import cut, in_portions, lists_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.contracts.decode import decode_statement, unclaimed_statement
from seamline.schemas.contracts.json_records import LARGEST
from seamline.sides.raw import RawFile
from seamline.streaming.archive.filing import FilingJob, filing_task, make_shelves
from seamline.streaming.archive.tables import RawTable
from seamline.streaming.gathered import gather
from seamline.streaming.runner import in_bytes_of
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import RECORDS, Job, decode_task
from seamline.units import Unit

MEMORY = "128MB"
RECORD = 50_000


def heavy(count: int, size: int = RECORD) -> list[bytes]:
    """Orders of about `size` bytes each: a field that no contract names is most of one."""
    chance = random.Random(count)
    rows = [{"id": f"o{n}", "placed": (DAY + n * timedelta(minutes=1)).isoformat(), "shop": "ab"[n % 2], "amount": n,
             "weight": 0.5, "more": chance.randbytes(size // 2).hex()} for n in range(count)]  # fmt: skip
    return [json.dumps(row).encode() for row in rows]


def plain(values: list[bytes]) -> Counter[tuple[str, str]]:
    """Orders by hour and shop."""
    return Counter((one["placed"][:13], one["shop"]) for one in map(json.loads, values))


def answer(bench: Bench, partials: list[pa.Table] | list[str]) -> Counter[tuple[str, str]]:
    compiled = Catalogue(bench.lake).definition(bench.served[0] or "")
    given: Any = pa.concat_tables(partials) if isinstance(partials[0], pa.Table) else bench.lake.read(partials)  # type: ignore[type-var]
    rows = bench.lake.kernel().run(compiled.merge_and_finalise, {"partials": given}).to_pylist()
    return Counter({(row["hour"].isoformat()[:13], row["shop"]): row["orders"] for row in rows})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, store=LocalStore(str(tmp_path)))


@pytest.fixture
def small(bench: Bench) -> Limits:
    return Limits((str(bench.folder),), MEMORY, 1)


def test_a_task_decodes_a_backlog_of_large_records_in_little_memory(bench: Bench, small: Limits) -> None:
    values = heavy(400)
    bench.send(*values, b"not one")
    plan = make_plan(
        [bench.contract], [(d, Catalogue(bench.lake).contracts(d.hash)) for d in Catalogue(bench.lake).live("main")]
    )
    seen = gather(decode_task(bench.records(Frontier(), bench.end), plan, Job(Frontier(), limits=small)))
    assert (seen.read, seen.rejected) == ({"orders": 401}, {"orders": 1})
    assert seen.end == bench.end
    assert seen.ids.num_rows == 400
    (partials,) = seen.partials.values()
    assert answer(bench, partials) == plain(values)


def test_an_append_files_large_records_in_little_memory_and_in_small_row_groups(bench: Bench, small: Limits) -> None:
    values = heavy(400)
    bench.send(*values)
    shelves = make_shelves([bench.contract], [], "main")
    seen = gather(
        filing_task(bench.records(Frontier(), bench.end), shelves, FilingJob(bench.lake.uri, Frontier(), small))
    )
    assert (seen.read, seen.rejected) == ({"orders": 400}, {"orders": 0})
    found = []
    for one in seen.files:
        file = parquet.ParquetFile(bench.lake.absolute(one["path"]))
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        assert all(group.total_byte_size < 1.1 * GROUP_BYTES for group in groups)
        found += file.read(["_value"])["_value"].to_pylist()
    assert sorted(found) == sorted(values)


def test_a_batch_decodes_large_records_again_whose_file_nobody_bounded(bench: Bench, small: Limits) -> None:
    values = heavy(400)
    bench.send(*values)
    bench.archive()
    bench.contract = contract(", logicalTypeOptions: {minimum: 0}")
    definition = bench.apply(Catalogue(bench.lake).definition(bench.served[0] or "").text)
    (by,) = Catalogue(bench.lake).contracts(definition)
    unit = Unit("", DAY.date())
    raw = RawTable(bench.lake, bench.lake.raw_path("orders", by.layout)).files(DAY.date().isoformat())
    assert any(is_wide(bench.lake.absolute(path)) for path in raw)
    statements = unit_statements(Catalogue(bench.lake).definition(definition), by, unit, bench.end, ())
    task = UnitTask(bench.lake.uri, definition, "", unit, tuple(raw), statements)
    result = run_unit(bench.lake, Kernel(small), task)
    assert result.file is not None
    assert answer(bench, [result.file.path]) == plain(values)
    assert [path.suffix for path in Path(bench.lake.absolute(result.file.path)).parent.iterdir()] == [".parquet"]


def test_small_files_of_large_records_are_put_together_into_small_row_groups(bench: Bench) -> None:
    shelves = make_shelves([bench.contract], [], "main")
    (shelf,) = [one for one in shelves if one.contract == "orders"]
    engine = bench.lake.kernel()
    table = RawTable(bench.lake, shelf.table, shelf.schema(engine))
    values = heavy(200)
    for portion in lists_of(values, 50, 1 << 30):
        records = pa.Table.from_pylist([row(value, n) for n, value in enumerate(portion)], schema=RECORDS)
        seen = gather(
            filing_task(records, shelves, FilingJob(bench.lake.uri, Frontier(), Limits((str(bench.folder),))))
        )
        table.add([RawFile(**one) for one in seen.files])
    table.swap([(table.listed, table.join(table.listed))])
    (path,) = table.files(DAY.date().isoformat())
    metadata = parquet.read_metadata(bench.lake.absolute(path))
    assert metadata.num_row_groups == 1 or not is_wide(bench.lake.absolute(path))


def row(value: bytes, offset: int) -> dict[str, Any]:
    return {"source": "orders@id1", "partition": 0, "offset": offset, "timestamp": DAY, "key": None, "value": value}


def sized(size: int) -> bytes:
    """An order of exactly so many bytes."""
    empty = json.dumps({"id": "x", "placed": DAY.isoformat(), "more": ""}).encode()
    return empty[:-2] + b"x" * (size - len(empty)) + b'"}'


def test_a_record_too_large_to_decode_is_archived_with_its_bytes_and_rejected(bench: Bench) -> None:
    """By its bytes alone: the same in both layers, whatever the memory."""
    values = [sized(LARGEST), sized(LARGEST + 1), sized(3 * LARGEST)]
    bench.send(*values)
    records = bench.records(Frontier(), bench.end)
    limits = Limits((str(bench.folder),), "512MB", 1)
    seen = gather(
        filing_task(records, make_shelves([bench.contract], [], "main"), FilingJob(bench.lake.uri, Frontier(), limits))
    )
    rows = []
    for one in seen.files:
        rows += parquet.read_table(bench.lake.absolute(one["path"]), partitioning=None).to_pylist()
    reasons = {len(one["_value"]): one["_reject"] for one in rows}
    assert reasons == {LARGEST: None, LARGEST + 1: "record too large", 3 * LARGEST: "record too large"}
    assert sorted(one["_value"] for one in rows) == sorted(values)
    plan = make_plan([bench.contract], [])
    assert gather(decode_task(records, plan, Job(Frontier(), limits=limits))).rejected == {"orders": 2}


def test_of_a_shared_topic_it_is_nobodys() -> None:
    """Its discriminator cannot be looked at."""
    text = contract().text + "  - {property: seamline.discriminator, value: {path: kind, value: a}}\n"
    shared = parse_contract(text, "orders.yaml")
    records = pa.Table.from_pylist([row(sized(LARGEST + 1), 0)], schema=RECORDS)
    assert kernel().run(decode_statement(shared), {"records": records}).num_rows == 0
    rest = kernel().run(f"SELECT _reject FROM ({unclaimed_statement([shared])})", {"records": records})
    assert rest.to_pylist() == [{"_reject": "record too large"}]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 100), st.integers(0, 80))
def test_portions_are_bounded_in_order_and_whole(sizes: list[int], most: int, memory: int) -> None:
    """Halved, too, where a memory smaller than the bound runs out; one row that does not fit is an error."""
    rows = pa.table({"v": pa.array([b"x" * size for size in sizes], pa.binary())})
    tried: list[int] = []

    def work(one: pa.Table) -> pa.Table:
        used = sum(map(len, one["v"].to_pylist()))
        tried.append(one.num_rows)
        if used > memory:
            raise TerminalError(Condition.KERNEL_MEMORY, "full")
        return one

    if max(sizes, default=0) > memory:
        with pytest.raises(SeamlineError):
            list(in_portions(work, rows, 1 << 30))
        return
    done = list(in_portions(work, rows, 1 << 30))
    assert pa.concat_tables(done) == rows
    bounded = cut(rows, most)
    assert pa.concat_tables(bounded) == rows
    assert all(one.num_rows <= 1 or one.nbytes <= most for one in bounded)


def test_lists_of_values_are_bounded_by_rows_and_bytes_and_lose_nothing() -> None:
    values = [b"x" * size for size in (1, 2, 3, 50, 4, 4, 4, 1, 1, 1, 1, 1)]
    found = list(lists_of(values, rows=4, most=10))
    assert [value for one in found for value in one] == values
    assert all(len(one) <= 4 and (len(one) == 1 or sum(map(len, one)) <= 10) for one in found)


def test_a_task_holds_no_more_batches_than_fit() -> None:
    batches = [pa.record_batch({"v": pa.array([b"x" * size], pa.binary())}) for size in (10, 20, 100, 5, 5, 5)]
    most = max(batch.nbytes for batch in batches)
    held = list(in_bytes_of(batches, most))
    assert [batch for one in held for batch in one] == batches
    assert all(len(one) == 1 or sum(batch.nbytes for batch in one) <= most for one in held)
    assert len(held) < len(batches)
