"""`seamline views test`: rows that hold however records are read, and the smallest split where they do not."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lakes import CONTRACT, VIEW
from obstore.store import LocalStore
from places import ROOT

from seamline.cli.main import execute
from seamline.errors import UserError
from seamline.kernel import Kernel, Limits
from seamline.lake import Lake
from seamline.operate.template import make_project
from seamline.operate.viewcases import ViewCase, read_cases
from seamline.operate.viewtest import ArrivalOrder, WayRead, orders, readings, run_case, said_of
from seamline.schemas.project import load_project
from seamline.schemas.views.project_views import Compiled, compile_all

RETURNS = """
;CREATE MATERIALIZED VIEW moves AS
SELECT time_bucket(INTERVAL '1 day', placed) AS day, kind, count(*) AS moves, sum(amount) AS amount
FROM (SELECT placed, amount, 'sale' AS kind FROM orders
      UNION ALL BY NAME SELECT placed, -amount AS amount, 'return' AS kind FROM returns) AS e
GROUP BY ALL
;CREATE MATERIALIZED VIEW by_day AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(orders) AS orders FROM sales GROUP BY ALL
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """`sales` and `by_day` over orders, whose copies are known by their id, and `moves` over returns too, which have
    none."""
    folder = tmp_path / "shop"
    make_project(folder)
    for path in (*folder.glob("*/orders*.yaml"), *folder.glob("views/*")):
        path.unlink()
    (folder / "contracts/orders.yaml").write_text(CONTRACT.replace(" EXTRA", ""))
    returns = CONTRACT.replace("orders", "returns").replace(" EXTRA", "")
    (folder / "contracts/returns.yaml").write_text(returns.replace("  - {property: seamline.eventId, value: id}\n", ""))
    (folder / "views/sales.sql").write_text(VIEW + RETURNS)
    return folder


def put(shop: Path, said: dict[str, Any], name: str = "sales") -> None:
    (shop / f"tests/{name}.yaml").write_text(json.dumps(said))


def ran(shop: Path, capsys: pytest.CaptureFixture[str], code: int = 0, view: str = "") -> Any:
    assert execute(["views", "test", *([view] if view else []), "--project", str(shop), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def order(number: int, minute: int, amount: int, **more: Any) -> dict[str, Any]:
    at = f"2024-05-01T{minute // 60:02}:{minute % 60:02}:00Z"
    return {"id": f"o{number}", "placed": at, "shop": "ab"[number % 2], "amount": amount, "weight": 0.5, **more}


def by_hand(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`sales` in plain Python, each event once."""
    groups = defaultdict[tuple[str, str], dict[str, int]](dict)
    for event in events:
        groups[event["placed"][:13], event["shop"]][event["id"]] = event["amount"]
    return [
        {"hour": f"{hour}:00:00Z", "shop": shop, "orders": len(of), "amount": sum(of.values()), "ids": len(of)}
        for (hour, shop), of in sorted(groups.items())
    ]


def test_rows_counted_by_hand_hold_however_the_records_are_read(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = random.Random(1)
    events = [order(n, drawn.randrange(180), drawn.randrange(9)) for n in range(6)]
    sent: list[Any] = [*events, *drawn.choices(events, k=4), "{", None, {"id": "x", "placed": "now"}]
    drawn.shuffle(sent)
    put(shop, {"cases": [{"events": sent, "rows": by_hand(events), "duplicates": 4, "rejected": 3}]})
    (found,) = ran(shop, capsys)["cases"]
    assert found["holds"], found
    assert found["readings"] >= 30
    wrong = by_hand(events)
    wrong[-1]["amount"] += 1
    put(shop, {"cases": [{"events": sent, "rows": wrong}]})
    (found,) = ran(shop, capsys, code=3)["cases"]
    assert [row["side"] for row in found["differing"]["rows"]] == ["expected", "found"]


def test_views_over_several_contracts_and_over_views_are_tested_alike(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = {"orders": [order(1, 5, 3), order(1, 5, 3), order(2, 70, 4)], "returns": [order(7, 9, 1), order(7, 9, 1)]}
    rows = [
        {"day": "2024-05-01T00:00:00Z", "kind": "sale", "moves": 2, "amount": 7},
        {"day": "2024-05-01T00:00:00Z", "kind": "return", "moves": 2, "amount": -2},
    ]
    put(shop, {"cases": [{"events": sent, "rows": rows}]}, "moves")
    put(shop, {"cases": [{"events": sent["orders"], "rows": [{"day": "2024-05-01T00:00:00Z", "orders": 2}]}]}, "by_day")
    found = ran(shop, capsys)
    assert [(one["view"], one["holds"]) for one in found["cases"]] == [("by_day", True), ("moves", True)]
    assert found["untested"] == ["sales"]


# --- a fault is shown by the smallest split


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Kernel]:
    with closing(Kernel(Limits(folders=(str(tmp_path),)))) as opened:
        yield opened


def broken(view: Compiled, old: str, new: str) -> Compiled:
    """A view whose merge is wrong."""
    assert old in view.definition.merge
    return replace(view, definition=replace(view.definition, merge=view.definition.merge.replace(old, new)))


def case_of(shop: Path) -> tuple[Compiled, ViewCase]:
    project = load_project(shop)
    compiled = compile_all(project.views, project.contracts)
    (case,) = read_cases(shop, compiled)
    return compiled[case.view], case


def test_a_wrong_merge_is_shown_by_two_parts_of_which_neither_alone_shows_it(
    shop: Path, tmp_path: Path, engine: Kernel
) -> None:
    events = [order(2 * n, n, n) for n in range(6)]
    put(shop, {"cases": [{"events": events, "rows": by_hand(events)}]})
    view, case = case_of(shop)
    lake = Lake(str(tmp_path), LocalStore(str(tmp_path)))
    assert run_case(lake, engine, view, case).holds
    (part,) = (name for name in view.definition.merges if name.startswith("amount"))
    wrong = broken(view, view.definition.merges[part], f'max(partials."{part}")')
    found = run_case(lake, engine, wrong, case).differing
    assert found is not None
    assert bool(found.reading.cut) + len(found.reading.ends) == 2
    assert {side for side, _ in found.rows} == {"expected", "found"}
    assert [row["orders"] for _, row in found.rows] == [6, 6]


def test_neighbouring_epochs_are_put_together_as_long_as_the_fault_shows(tmp_path: Path) -> None:
    ways = readings(8, [tuple(range(8))])
    assert len(ways) == len(set(ways))
    assert {way.cut for way in ways} == {0, 2, 4, 6, 8}
    assert [len(way.ends) for way in ways] == sorted(len(way.ends) for way in ways)
    assert all(way.ends[-1:] == ((8,) if way.cut < 8 else ()) for way in ways)


def test_copies_stay_in_their_order_whatever_the_rest_does() -> None:
    copies = [[0, 3, 4], [1], [2, 5]]
    for one in orders(copies, 6):
        assert sorted(one) == list(range(6))
        assert [n for n in one if n in copies[0]] == copies[0]
        assert [n for n in one if n in copies[2]] == copies[2]
    assert len(orders(copies, 6)) > 2


def test_a_split_is_told_by_the_numbers_of_the_file() -> None:
    mixed: ArrivalOrder = (3, 0, 1, 2)
    assert said_of(WayRead(mixed, 1, (3, 4))) == "4 in a batch version, then 1-2 in an epoch, then 3 in an epoch"


def test_what_differs_is_shown_as_a_table_below_its_split(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(shop, {"cases": [{"name": "late", "events": [order(1, 5, 3)], "rows": [], "duplicates": 2}]})
    assert execute(["views", "test", "--project", str(shop)]) == 3
    out, err = capsys.readouterr()
    assert "tests/sales.yaml:1:12: sales, late: DIFFERS" in out
    assert "duplicates: 0, not 2" in out
    assert "the smallest split that shows it: 1 in a batch version" in out
    assert [line.split()[:1] for line in out.splitlines()][-1] == ["found"]
    assert "PROOF_FAILED" in err


# --- files that cannot be read


ROW = "{hour: 2024-05-01T00:00:00Z, orders: 1}"
ROWS = "cases:\n  - events: []\n    rows:\n      - "
WRONG = {
    "no YAML": ("cases: [", ":1:9", "not YAML"),
    "an unknown key": ("cases:\n  - {event: [], rows: []}", ":2:6", "write 'events'"),
    "no events": ("cases:\n  - rows: []", ":2:5", "'events' is missing"),
    "an event that is a number": ("cases:\n  - events:\n      - 7\n    rows: []", ":3:9", "an event that is 7"),
    "another contract": ("cases:\n  - events: {order: []}\n    rows: []", ":2:14", "write 'orders'"),
    "no such column": (f"{ROWS}{ROW.replace('orders', 'order')}", ":4:38", "column"),
    "rows of other columns": (f"{ROWS}{ROW}\n      - {{orders: 1}}", ":5:9", "hour"),
    "a value of another type": (f"{ROWS}{ROW.replace('1}', 'many}')}", ":4:38", "no BIGINT"),
    "a number below 0": ("cases:\n  - {events: [], rows: [], rejected: -1}", ":2:28", "how many records"),
    "no instant": ("cases:\n  - {events: [], rows: [], received: soon}", ":2:28", "an instant"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_wrong_is_told_by_line_and_column(
    shop: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, where, said = WRONG[case]
    (shop / "tests/sales.yaml").write_text(text)
    assert execute(["views", "test", "--project", str(shop)]) == 2
    told = capsys.readouterr().err
    assert f"[INPUT_INVALID] tests/sales.yaml{where}: " in told, told
    assert said in told


def test_a_view_that_is_named_and_has_no_test_is_an_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["views", "test", "sales", "--project", str(shop)]) == 2
    assert "tests/sales.yaml" in capsys.readouterr().err
    put(shop, {"view": "sale", "cases": []})
    assert execute(["views", "test", "--project", str(shop)]) == 2
    assert "[VIEW_UNKNOWN] tests/sales.yaml:1:2: there is no view 'sale'" in capsys.readouterr().err


def test_a_time_or_a_country_is_text_as_it_is_written(shop: Path) -> None:
    (shop / "tests/sales.yaml").write_text(
        "cases:\n  - events:\n      - {id: NO, placed: 2024-05-01T00:10:00Z, amount: 010}\n    rows: []\n"
    )
    _, case = case_of(shop)
    (sent,) = case.sent
    assert json.loads(sent.value or b"") == {"id": "NO", "placed": "2024-05-01T00:10:00Z", "amount": "010"}


# --- those that `init` makes


@pytest.mark.parametrize("events", ["", "examples/orders/orders.jsonl.gz"])
def test_a_new_project_has_a_test_that_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str], events: str) -> None:
    project = tmp_path / "new"
    assert execute(["init", str(project), *(["--from", str(ROOT / events)] if events else [])]) == 0
    capsys.readouterr()
    (found,) = ran(project, capsys)["cases"]
    assert found["holds"]
    assert found["records"] >= 5


def test_it_opens_neither_a_lake_nor_spark(shop: Path) -> None:
    put(shop, {"cases": [{"events": [order(1, 5, 3)], "rows": by_hand([order(1, 5, 3)])}]})
    probe = (
        "import sys; from seamline.cli.main import execute; "
        f"code = execute(['views', 'test', '--project', {str(shop)!r}]); "
        "print(code, 'pyspark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done
    assert not (shop / "lake").exists()


def test_an_expected_error_is_a_user_error(shop: Path) -> None:
    (shop / "tests/sales.yaml").write_bytes(b"\xff")
    with pytest.raises(UserError, match="not UTF-8"):
        case_of(shop)
