"""The example of orders: money is the truth to the cent, also through the real parts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from shipped import FOLDER, example, finished

CENT = Decimal("0.01")


@cache
def orders_by_hand() -> list[dict[str, Any]]:
    """The distinct valid orders in order of arrival, read without Seamline: broken ones are named x…"""
    found: dict[str, dict[str, Any]] = {}
    for line in example("orders").lines:
        try:
            order = json.loads(line, parse_float=Decimal)
        except ValueError:
            continue
        if order["id"][0] != "x":
            found.setdefault(order["id"], order)
    return list(found.values())


def summed(value: Callable[[dict[str, Any]], Any], *keys: str) -> dict[tuple[Any, ...], Any]:
    """Sums over the orders by key; `day` is the day they were placed."""
    sums: dict[tuple[Any, ...], Any] = {}
    for order in orders_by_hand():
        key = tuple(order["placed"][:10] if name == "day" else order[name] for name in keys)
        sums[key] = sums.get(key, 0) + value(order)
    return sums


def column(view: str, name: str, *keys: str) -> dict[tuple[Any, ...], Any]:
    rows = finished("orders", view).to_pylist()
    return {tuple(str(row[k].date()) if k == "day" else row[k] for k in keys): row[name] for row in rows}


def test_money_is_the_truth_to_the_cent() -> None:
    by = ("day", "shop", "currency")
    assert column("revenue_by_day", "revenue", *by) == summed(lambda o: o["total"], *by)
    zero = Decimal(0)
    assert column("taxes", "tax", "day", "tax_rate", "currency") == summed(
        lambda o: o["tax"], "day", "tax_rate", "currency"
    )
    assert all(row["difference"] == zero for row in finished("orders", "taxes").to_pylist())
    euros = summed(lambda o: o["total"] * o["rate"], "day", "shop")
    assert column("revenue_in_euros", "exactly", "day", "shop") == euros
    lines = defaultdict(Decimal)
    for row in finished("orders", "goods_sold").to_pylist():
        key = (str(row["day"].date()), row["shop"], row["currency"])
        lines[key] += row["orders"] * row["line"]["pieces"] * row["line"]["price"]
    assert lines == summed(lambda o: o["net"], *by)
    rounded = {key: value.quantize(CENT, ROUND_HALF_UP) for key, value in euros.items()}
    assert column("revenue_in_euros", "revenue", "day", "shop") == rounded


def test_refunds_are_what_was_sold_taken_back() -> None:
    sold = {order["id"]: order for order in orders_by_hand()}
    refunds = [order for order in orders_by_hand() if order["kind"] == "refund"]
    assert len(refunds) > 100
    for order in orders_by_hand():
        net = sum(line["pieces"] * line["price"] for line in order["lines"])
        assert (order["net"], order["total"]) == (net, order["net"] + order["tax"])
        assert order["tax"] == (order["net"] * order["tax_rate"]).quantize(CENT, ROUND_HALF_UP)
        assert (order["total"] < 0) == (order["kind"] == "refund")
    assert all(-refund["total"] <= sold[refund["of"]]["total"] for refund in refunds)


def test_the_readme_says_what_is_served_and_what_doubles_would_have_given() -> None:
    orders, readme = orders_by_hand(), " ".join(example("orders").readme.split())
    served_sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in finished("orders", "revenue_by_day").to_pylist():
        served_sums[row["currency"]] += row["revenue"]
    for (currency,), truth in summed(lambda o: o["total"], "currency").items():
        amounts = [float(order["total"]) for order in orders if order["currency"] == currency]
        forth, back = added(amounts), added(reversed(amounts))
        assert f"| {currency} | {served_sums[currency]} | {truth} | {forth!r} | {back!r} |" in readme
    by = ("day", "shop", "currency")
    exact, doubles = summed(lambda o: o["total"], *by), summed(lambda o: float(o["total"]), *by)
    off = sum(Decimal(repr(doubles[key])) != exact[key] for key in exact)
    assert f"of the {len(exact)} groups of `revenue_by_day` {off} would not be" in readme
    taxes = [Decimal(repr(round(float(o["net"]) * float(o["tax_rate"]), 2))) for o in orders]
    wrong = sum(tax != order["tax"] for tax, order in zip(taxes, orders, strict=True))
    assert f"that is {sum(order['tax'] for order in orders)}, and" in readme
    assert f"{wrong} of the {len(orders):,} orders come out wrong, and {sum(taxes)} in all: 79 cents" in readme


def added(numbers: Iterable[float]) -> float:
    """One after the other, as a stream would: Python's own sum makes up for lost digits."""
    result = 0.0
    for number in numbers:
        result += number
    return result


@pytest.mark.spark
def test_the_orders_project_serves_the_truth_through_the_real_parts(tmp_path: Path) -> None:
    project = tmp_path / "orders"
    shutil.copytree(FOLDER / "orders", project, ignore=shutil.ignore_patterns("lake", ".seamline"))
    env = {key: value for key, value in os.environ.items() if not key.startswith("SEAMLINE_PROJECT")}
    env["SEAMLINE_SPARK__DRIVER_MEMORY"] = "600m"

    def types(line: str) -> str:
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    (taken,) = json.loads(types("seamline import orders.jsonl.gz --contract orders --json"))
    assert (taken["read"], taken["rejected"]) == (len(example("orders").lines), 40)
    types("seamline views apply")
    (built,) = json.loads(types("seamline batch rebuild revenue_by_day --json"))
    assert built["counted"] == len(orders_by_hand())
    said = types('seamline query "SELECT currency, sum(revenue) AS sum FROM revenue_by_day GROUP BY 1" --format json')
    truth = {key[0]: value for key, value in summed(lambda o: o["total"], "currency").items()}
    assert {row["currency"]: Decimal(str(row["sum"])) for row in json.loads(said, parse_float=Decimal)} == truth
