"""The kernel runs one statement over its inputs, inside its folders, and nothing else."""

from __future__ import annotations

import weakref
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from seamline.errors import Condition, SeamlineError, UserError
from seamline.kernel import KEPT, Kernel, Limits, kernel
from seamline.lake import Lake


@pytest.fixture
def engine(tmp_path: Path) -> Kernel:
    return Kernel(Limits(folders=(str(tmp_path),), spill=str(tmp_path / "spill")))


ROWS = pa.table({"a": [1, 2, 3]})


def test_arrow_in_and_arrow_out(engine: Kernel) -> None:
    assert engine.run("SELECT a + 1 AS b FROM t ORDER BY b", {"t": ROWS}).to_pydict() == {"b": [2, 3, 4]}


def test_parquet_out_and_parquet_in(engine: Kernel, tmp_path: Path) -> None:
    path = str(tmp_path / "it's here.parquet")
    assert engine.run("SELECT * FROM t", {"t": ROWS}, into=path) == 3
    assert engine.run("SELECT sum(a)::BIGINT AS s FROM p", {"p": [path]}).to_pydict() == {"s": [6]}


def test_a_file_that_is_not_there_and_one_that_is_damaged_are_told_as_what_they_are(
    engine: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    for name, condition in (("gone", Condition.STORE_UNAVAILABLE), ("torn", Condition.KERNEL_FAILED)):
        given = {"p": [str(tmp_path / f"{name}.parquet")]}
        with pytest.raises(SeamlineError, match=name) as caught:
            engine.run("SELECT * FROM p", given)
        assert caught.value.condition is condition
        with pytest.raises(SeamlineError, match=name), engine.scratch("SELECT * FROM p", given):
            pass
    assert engine.run("SELECT a FROM p", {"p": ROWS}).num_rows == 3


def test_an_input_is_forgotten_after_its_run(engine: Kernel) -> None:
    engine.run("SELECT * FROM t", {"t": ROWS})
    with pytest.raises(SeamlineError) as caught:
        engine.run("SELECT * FROM t")
    assert caught.value.condition is Condition.KERNEL_FAILED


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv_auto('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_parquet('https://example.com/x.parquet')",
        "SELECT * FROM duckdb_settings() WHERE getenv('HOME') IS NOT NULL",
    ],
)
def test_nothing_outside_its_folders_is_read(engine: Kernel, statement: str) -> None:
    with pytest.raises(SeamlineError):
        engine.run(statement)


def test_nothing_outside_its_folders_is_written(engine: Kernel, tmp_path: Path) -> None:
    target = tmp_path.parent / "outside.parquet"
    with pytest.raises(SeamlineError):
        engine.run("SELECT 1 AS a", into=str(target))
    assert not target.exists()


@pytest.mark.parametrize("setting", ["memory_limit = '100GB'", "enable_external_access = true", "TimeZone = 'CET'"])
def test_its_configuration_is_locked(engine: Kernel, setting: str) -> None:
    with pytest.raises(Exception, match="locked"):
        engine._connection.execute(f"SET {setting}")


def test_the_time_zone_is_utc(engine: Kernel) -> None:
    table = engine.run("SELECT ('2026-06-01T12:00:00+02:00'::TIMESTAMPTZ)::VARCHAR AS t")
    assert table.to_pydict() == {"t": ["2026-06-01 10:00:00+00"]}


def test_one_kernel_is_kept_for_the_same_limits(tmp_path: Path) -> None:
    limits = Limits(folders=(str(tmp_path),))
    assert kernel(limits) is kernel(limits)


def test_rows_come_in_the_order_asked_for_however_many_they_are() -> None:
    numbers = pa.table({"n": [n * 7919 % 100_003 for n in range(100_003)]})
    assert kernel().run("SELECT n FROM numbers ORDER BY n", {"numbers": numbers})["n"].to_pylist() == list(
        range(100_003)
    )


@pytest.mark.parametrize("name", ["it's a shop", 'say "ah"', "a;b, c", "100%", "{ü} & #1", "$(x) `y` ~"])
def test_a_folder_may_be_called_what_a_folder_can_be_called(tmp_path: Path, name: str) -> None:
    lake = Lake.open(str(tmp_path / name / "lake"))
    lake.write(lake.kernel(), "SELECT * FROM t", {"t": ROWS}, "batch/a/b/1.parquet")
    lake.write(lake.kernel(), "SELECT * FROM t", {"t": ROWS}, "batch/a/b/2.parquet")
    both = lake.read(["batch/a/b/1.parquet", "batch/a/b/2.parquet"])
    assert lake.kernel().run("SELECT count(*) AS n FROM t", {"t": both}).to_pydict() == {"n": [6]}
    raw = lake.absolute("raw/a-1")
    write_deltalake(raw, ROWS)
    (file,) = DeltaTable(raw).get_add_actions(flatten=True)["path"].to_pylist()
    assert lake.kernel().run("SELECT count(*) AS n FROM t", {"t": [f"{raw}/{file}"]}).to_pydict() == {"n": [3]}


@pytest.mark.parametrize("name", ["shop*", "shop?", "[shop]", "a^b", "a|b", "a\\b", "a\nb"])
def test_a_lake_is_refused_where_its_readers_would_take_its_path_for_something_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as refused:
        Lake.open(str(tmp_path / name / "lake"))
    assert refused.value.condition is Condition.CONFIG_INVALID
    assert not (tmp_path / name).exists()


def test_a_process_keeps_the_kernels_used_last_and_lets_the_others_go(tmp_path: Path) -> None:
    limits = [Limits(folders=(str(tmp_path / f"{n}"),)) for n in range(KEPT + 1)]
    first, second = (weakref.ref(kernel(one)) for one in limits[:2])
    kernel(limits[0])
    for one in limits[2:]:
        kernel(one)
    assert second() is None, "the one not used for longest"
    assert first() is kernel(limits[0])
    assert kernel(limits[1]).run("SELECT 1 AS one")["one"].to_pylist() == [1]
