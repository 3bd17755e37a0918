"""`seamline contracts diff`: what a changed contract needs of each view, why, and from when a dedup horizon holds."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from contract_changes import CASES, CONTRACT, RECORD, VIEWS, Case
from lakes import CONTRACT as ORDERS
from lakes import DAY, VIEW, Bench, order
from lakes import project as make_bench
from obstore.store import LocalStore

from seamline.cli.main import execute
from seamline.operate.contractdiff import ContractDifference, ViewNeed, contract_differences
from seamline.operate.template import make_project
from seamline.operate.viewapply import put_into_service
from seamline.operate.viewdiff import differences
from seamline.operate.views import view_states
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.project import load_project
from seamline.schemas.states import apply_views

ANOTHER = "another text"
NAMES = ("amounts", "monthly", "shops")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project whose views are applied."""
    folder = tmp_path / "shop"
    make_project(folder)
    (folder / "contracts/orders.yaml").write_text(CONTRACT)
    (folder / "views/orders_by_hour.sql").unlink()
    (folder / "views/all.sql").write_text(VIEWS)
    project = load_project(folder)
    apply_views(project.lake, project.views, project.contracts, lambda: DAY)
    return folder


def differs(shop: Path) -> ContractDifference:
    (found,) = contract_differences(load_project(shop))
    return found


def change(shop: Path, text: str) -> None:
    (shop / "contracts/orders.yaml").write_text(text)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_every_change_of_a_contract_is_told_with_what_each_view_needs_and_why(shop: Path, case: Case) -> None:
    change(shop, case.text)
    found = differs(shop)
    assert {one.view: one.needs for one in found.views} == {name: case.of(name) for name in NAMES}
    for one in found.views:
        assert one.why
        if one.needs == "rebuild":
            assert any(changed.words in one.why for changed in found.changes), one.why
    assert ({changed.effect for changed in found.changes} <= {"nothing"}) == (case.needs == "nothing")


@pytest.mark.parametrize("case", [one for one in CASES if one.amounts != ANOTHER], ids=lambda case: case.what)
def test_views_diff_says_the_same_of_each_view(shop: Path, case: Case) -> None:
    change(shop, case.text)
    project = load_project(shop)
    found = {one.view: one.difference.needs for one in differences(project)}
    assert {name: needs == "rebuild" for name, needs in found.items()} == {
        name: case.of(name) == "rebuild" for name in found
    }
    states = {one.view: one.state for one in view_states(project)}
    assert all((state == "changed, not applied") == (case.of(name) == "rebuild") for name, state in states.items())


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose views have a batch version each, over records that are all alike."""
    folder = tmp_path_factory.mktemp("read")
    for path, text in (("contracts/orders.yaml", CONTRACT), ("views/all.sql", VIEWS)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    (folder / "seamline.toml").write_text('[lake]\nuri = "lake"\n')
    (folder / "lake").mkdir()
    first = VIEWS.partition(";")[0]
    bench = Bench(folder / "lake", view=first, store=LocalStore(str(folder / "lake")), text=CONTRACT)
    project = load_project(folder)
    apply_views(bench.lake, project.views, project.contracts, bench.clock)
    bench.send(*(json.dumps({**RECORD, "id": f"o{n}"}).encode() for n in range(3)))
    bench.both()
    for view in ("shops", "amounts", "monthly"):
        assert bench.batch.refresh(view).version is not None
    return folder


@pytest.mark.parametrize("case", [case for case in CASES if case.needs == "rebuild"], ids=lambda case: case.what)
def test_what_no_archived_record_is_judged_otherwise_by_needs_nothing_and_the_rest_a_rebuild(
    read: Path, tmp_path: Path, case: Case
) -> None:
    folder = shutil.copytree(read, tmp_path / "project")
    change(folder, case.text)
    project = load_project(folder)
    before = {view.view: view.served for view in view_states(project)} if not case.amounts else {}
    found = differs(folder)
    needs = {one.view: one.needs for one in found.views}
    handed = {view: case.of(view) if case.of(view) == ANOTHER or not case.handed else "nothing" for view in NAMES}
    assert needs == handed
    for applied in put_into_service(project) if not case.amounts else ():
        assert (applied.definition == before[applied.view]) == case.handed


def test_a_view_that_is_not_in_the_project_goes_on_by_what_it_was_served_by(shop: Path) -> None:
    (shop / "views/all.sql").write_text(VIEWS.partition(";")[0])
    change(shop, next(case for case in CASES if case.what == "a rule added").text)
    found = {one.view: one.needs for one in differs(shop).views}
    assert found == {"shops": "rebuild", "amounts": "nothing", "monthly": "nothing"}


def test_nothing_changed_is_said_so_and_the_command_says_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = differs(shop)
    assert (found.changes, found.held) == ((), None)
    assert set(found.views) == {ViewNeed(name, "nothing", "no change") for name in NAMES}
    change(shop, next(case for case in CASES if case.what == "a field added").text)
    assert execute(["contracts", "diff", "orders", "--project", str(shop)]) == 0
    said = capsys.readouterr().out
    assert "field added coupon" in said
    assert "shops needs: rebuild" in said
    assert execute(["contracts", "diff", "--json", "--project", str(shop)]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["changes"][0]["effect"] == "may reject"
    assert execute(["contracts", "diff", "oders", "--project", str(shop)]) == 2


def test_a_dedup_horizon_is_told_with_the_epoch_from_which_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(tmp_path)
    longer = ORDERS.replace(" EXTRA", "") + "  - {property: seamline.dedupHorizon, value: 3 hours}\n"
    bench.send(order("1"))
    bench.speed()
    change(tmp_path, longer)
    found = differs(tmp_path)
    assert found.held is not None
    assert (found.horizon, found.held.horizon, found.held.epoch) == (timedelta(hours=3), timedelta(hours=1), 1)
    assert [(one.what, one.effect) for one in found.changes] == [("dedup horizon", "nothing")]
    assert {one.needs for one in found.views} == {"nothing"}
    definition, end = bench.served[0], bench.end
    bench.contract = parse_contract(longer, "orders.yaml")
    assert bench.apply(VIEW) == definition
    for number in (2, 3):
        bench.send(order(str(number)))
        bench.speed()
    found = differs(tmp_path)
    assert found.held is not None
    assert (found.held.horizon, found.held.epoch, found.held.start) == (timedelta(hours=3), 2, end)
    assert found.changes == ()
    assert execute(["contracts", "diff", "--project", str(tmp_path)]) == 0
    assert "3 h, by which epochs go since epoch 2 (orders/0:1)" in capsys.readouterr().out


COUPON = ORDERS.replace(" EXTRA", "").replace("customProp", "      - {name: coupon, logicalType: string}\ncustomProp")


@pytest.mark.parametrize("broken", [False, True])
def test_a_field_added_needs_nothing_where_no_archived_record_would_be_rejected(tmp_path: Path, broken: bool) -> None:
    bench = make_bench(tmp_path)
    record = order("2")[:-1] + (b', "coupon": 7}' if broken else b"}")
    bench.send(order("1"), record)
    bench.both()
    bench.batch.refresh("sales")
    change(tmp_path, COUPON)
    (found,) = differs(tmp_path).views
    project = load_project(tmp_path)
    (told,) = differences(project)
    assert "contracts diff" in told.words
    (applied,) = put_into_service(project)
    if broken:
        assert (found.needs, applied.change) == ("rebuild", "changed")
        assert "orders@id1/0:1 would be rejected (wrong type: coupon)" in found.why
        return
    assert (found.needs, applied.definition, applied.change) == ("nothing", bench.served[0], "described")
    assert "hands it over" in found.why
    (found,) = differs(tmp_path).views
    assert found == ViewNeed("sales", "nothing", "it goes on with the contract from the next epoch on")
    (state,) = view_states(project)
    assert (state.state, state.definition) == ("served", bench.served[0])
    change(tmp_path, COUPON.replace("name: coupon, logicalType: string", "name: coupon, logicalType: number"))
    (found,) = differs(tmp_path).views
    assert found.needs == "rebuild"
    assert "under way" in found.why
