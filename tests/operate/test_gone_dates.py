"""What is asked of a lake of which event dates are gone from raw: each command says what it could not look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from expiring_world import CHANGED, DAYS, SALES, TEXT, VIEWS, ExpiringWorld
from obstore.store import LocalStore

from seamline.cli.main import execute
from seamline.errors import Condition, SeamlineError
from seamline.history.batch import BatchHistory
from seamline.jobs.asked import DateRange
from seamline.operate.backfill_plan import check_plan, plan_backfill
from seamline.operate.verification import verify_view
from seamline.schemas.project import load_project

NEW = (
    "CREATE MATERIALIZED VIEW shops AS SELECT date_trunc('day', placed) AS day, count(*) AS n FROM orders GROUP BY ALL"
)
ABOVE = (
    "CREATE MATERIALIZED VIEW weeks AS SELECT date_trunc('week', day) AS week, MEASURE(orders) AS orders FROM by_day"
    " GROUP BY ALL"
)


@dataclass(frozen=True)
class Lake:
    """A project with three views, and the lake that it is of."""

    folder: Path
    world: ExpiringWorld

    @property
    def begins(self) -> date:
        assert self.world.begins is not None
        return self.world.begins

    def ask(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        """A command's exit code, and all that it says."""
        code = execute([*arguments, "--project", str(self.folder)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out + said.err


def made(folder: Path) -> Lake:
    for name, text in (("contracts/orders.yaml", TEXT), ("views/all.sql", VIEWS)):
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    (folder / "seamline.toml").write_text('[lake]\nuri = "lake"\n')
    (folder / "lake").mkdir()
    world = ExpiringWorld(folder / "lake", store=LocalStore(str(folder / "lake")))
    world.produce(world.order(), world.order(0.6), None, world.order(1.6), world.order(5))
    world.both()
    world.refresh_all()
    world.age()
    return Lake(folder, world)


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The first dates are gone; epochs were read before that and after."""
    lake = made(tmp_path_factory.mktemp("gone"))
    world = lake.world
    world.produce(world.order(), world.order(0.3))
    world.both()
    assert "gone before" in world.let_go()["orders"]
    world.produce(world.order(0.1))
    world.both()
    world.refresh_all()
    world.check()
    return lake


def test_verify_looks_at_what_raw_holds_says_so_and_refuses_what_is_gone_whole(
    gone: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    for view in ("sales", "months", "by_day"):
        code, said = gone.ask(capsys, "verify", view)
        assert code == 0
        assert f"raw of orders is gone before {gone.begins}: of earlier event dates nothing was compared" in said
    before = str(gone.begins - DAYS)
    code, said = gone.ask(capsys, "verify", "sales", "--to", before)
    assert code == 3
    assert f"[OUT_OF_RETENTION] raw of sales is gone before {gone.begins}" in said
    assert gone.ask(capsys, "verify", "sales", "--from", before)[0] == 0
    _, said = gone.ask(capsys, "verify", "sales", "--history", "--json")
    assert {one["dates"] for one in json.loads(said)} == {"", f"{before}.."}, "what was refused compared nothing"
    assert {one["gone"]["orders"] for one in json.loads(said)} == {str(gone.begins)}
    assert f"{gone.begins} of orders" in gone.ask(capsys, "verify", "sales", "--history")[1]


def test_verify_finds_a_fault_in_what_raw_holds_and_none_in_what_it_does_not(tmp_path: Path) -> None:
    lake = made(tmp_path)
    lake.world.let_go()
    lake.world.produce(lake.world.order())
    lake.world.both()
    lake.world.refresh_all()
    definition, version = lake.world.state("sales")
    batch = BatchHistory(lake.world.lake.batch_log(definition))
    number = next(n for n, one in batch.versions.items() if one == version)
    units = {date.fromisoformat(unit): files for unit, files in batch.files(number).items() if files}

    def agrees_with_damaged(day: date) -> bool:
        path = lake.world.lake.absolute(units[day][0].path)
        stood = Path(path).read_bytes()
        text = "SELECT * REPLACE (orders + 1 AS orders) FROM rows"
        pq.write_table(lake.world.lake.kernel().run(text, {"rows": pq.read_table(path)}), path)
        found = verify_view(load_project(lake.folder), "sales")
        Path(path).write_bytes(stood)
        return found.agrees

    days = sorted(units)
    assert days[0] < lake.begins <= days[-1]
    assert agrees_with_damaged(days[0]), "nobody can say any more"
    assert not agrees_with_damaged(days[-1])


def test_verify_of_a_version_from_before_reads_raw_as_it_was_or_says_that_it_is_gone(tmp_path: Path) -> None:
    lake = made(tmp_path)
    of, before = load_project(lake.folder), set(lake.folder.rglob("raw/orders-*/_event_date=*/*.parquet"))
    every = verify_view(of, "sales").comparison.keys
    lake.world.let_go()
    assert verify_view(of, "sales").comparison.keys == every
    for path in before:  # as no vacuum would while the version is served
        if path.parent.name.partition("=")[2] < str(lake.begins):
            path.unlink()
    with pytest.raises(SeamlineError) as lost:
        verify_view(of, "sales")
    assert lost.value.condition is Condition.STORE_UNAVAILABLE
    assert "seamline batch rebuild" in lost.value.hint


def test_changes_tell_what_they_cannot_divide(gone: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert gone.world._speed is not None
    last = gone.world._speed.history.last_epoch
    code, said = gone.ask(capsys, "changes", "sales", "--from-epoch", str(last - 2), "--to-epoch", str(last))
    assert code == 0
    assert f"raw of orders is gone before {gone.begins}: what changed there is told as 'backfill'" in said


def test_a_new_definition_or_view_is_said_to_begin_where_raw_does(
    gone: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    views, alone = gone.folder / "views/all.sql", f"of orders from {gone.begins} on alone"
    try:
        views.write_text(VIEWS.replace(SALES, CHANGED))
        told = {one["view"]: one for one in json.loads(gone.ask(capsys, "views", "diff", "--json")[1])}
        for view in ("sales", "by_day"):  # by_day is folded from a definition that begins there
            assert told[view]["begins"] == {"orders": str(gone.begins)}
            assert alone in told[view]["words"]
        assert told["months"]["begins"] == {}
        views.write_text(f"{VIEWS};\n{NEW};\n{ABOVE}")
        told = {one["view"]: one for one in json.loads(gone.ask(capsys, "views", "diff", "--json")[1])}
        assert told["shops"]["words"].endswith(alone)
        assert told["weeks"]["words"].endswith("from the stream's first record on"), "its base holds all of it"
    finally:
        views.write_text(VIEWS)


def test_a_backfill_of_gone_dates_is_refused_and_one_across_says_what_stays(
    gone: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = gone.ask(capsys, "backfill", "plan", "sales", "--to", str(gone.begins - DAYS))
    assert (code, "[OUT_OF_RETENTION]" in said) == (3, True)
    code, said = gone.ask(capsys, "backfill", "plan", "sales", "--from", str(gone.begins - 9 * DAYS))
    assert code == 0
    assert f"raw of orders is gone before {gone.begins}: what stands of earlier event dates stays" in said
    _, said = gone.ask(capsys, "backfill", "plan", "sales", "--json")
    assert min(one["unit"] for one in json.loads(said)["units"]) >= str(gone.begins)


def test_views_apply_says_where_what_is_built_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = made(tmp_path)
    lake.world.let_go()
    (lake.folder / "views/all.sql").write_text(f"{VIEWS.replace(SALES, CHANGED)};\n{NEW}")
    code, said = lake.ask(capsys, "views", "apply")
    assert code == 0
    told = [line for line in said.splitlines() if line.endswith("alone: raw of before is gone")]
    since = f"of orders from {lake.begins} on alone: raw of before is gone"
    assert set(told) == {f"{view}: {since}" for view in ("by_day", "sales", "shops")}
    (months,) = (one for one in json.loads(lake.ask(capsys, "views", "apply", "--json")[1]) if one["view"] == "months")
    assert months["begins"] == {}


def test_a_plan_of_dates_that_have_gone_since_is_refused(tmp_path: Path) -> None:
    lake = made(tmp_path)
    of = load_project(lake.folder)
    saved = plan_backfill(of, "sales", DateRange())
    check_plan(saved, plan_backfill(of, "sales", DateRange()))
    lake.world.let_go()
    assert min(one.unit for one in saved.units) < str(lake.begins)
    with pytest.raises(SeamlineError) as moved:
        check_plan(saved, plan_backfill(of, "sales", DateRange()))
    assert moved.value.condition is Condition.PLAN_MOVED
    assert "and has none now" in moved.value.message


def test_forgetting_and_its_check_say_what_of_gone_dates_there_is(
    gone: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("--contract", "orders", "--where", "shop = 'a'")
    code, said = gone.ask(capsys, "forget", *wanted, "--yes")
    assert (code, "[OUT_OF_RETENTION]" in said, "--drop-gone" in said) == (3, True, True)
    code, said = gone.ask(capsys, "forget", "check", *wanted)
    assert code == 1
    raw = [line for line in said.splitlines() if line.startswith("raw/")]
    assert min(line.partition("_event_date=")[2][:10] for line in raw) < str(gone.begins), "no vacuum has come there"
