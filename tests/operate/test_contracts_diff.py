"""`seamline contracts diff`: what a changed contract needs of each view, why, and from when a dedup horizon holds."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from contract_changes import CASES, CONTRACT, VIEWS, Case
from lakes import CONTRACT as ORDERS
from lakes import DAY, VIEW, order
from lakes import project as make_bench

from seamline.cli.main import execute
from seamline.operate.contractdiff import ContractDifference, ViewNeed, contract_differences
from seamline.operate.template import make_project
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
