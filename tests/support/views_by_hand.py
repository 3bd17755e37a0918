"""The simulation's views in plain Python: what each must answer over events, computed with no engine at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from truth import Event

Row = dict[str, Any]
Aggregate = Callable[[list[Row]], Any]
SEOUL = ZoneInfo("Asia/Seoul")


def hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day(at: datetime) -> datetime:
    return hour(at).replace(hour=0)


def year(at: datetime) -> datetime:
    return day(at).replace(month=1, day=1)


def month_in_seoul(at: datetime) -> datetime:
    return at.astimezone(SEOUL).replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def values(rows: Iterable[Row], name: str) -> list[Any]:
    return [row[name] for row in rows if row[name] is not None]


def over(name: str, fold: Callable[[list[Any]], Any], where: Callable[[Row], bool] = lambda row: True) -> Aggregate:
    """An aggregate of one field, NULL over nothing."""

    def apply(rows: list[Row]) -> Any:
        found = values(filter(where, rows), name)
        return fold(found) if found else None

    return apply


def distinct(name: str, where: Callable[[Row], bool] = lambda row: True) -> Aggregate:
    return lambda rows: len(set(values(filter(where, rows), name)))


def mean(numbers: list[Any]) -> float:
    return float(sum(numbers)) / len(numbers)


def priced(row: Row) -> bool:
    return row["amount"] is not None and row["amount"] > 0


def by_x(row: Row) -> bool:
    return bool(row["buyer"] == "x")


@dataclass(frozen=True)
class View:
    """A view: which rows, its keys, its aggregates."""

    keys: Mapping[str, Callable[[Row], Any]]
    aggregates: Mapping[str, Aggregate]
    where: Callable[[Row], bool] = lambda row: True

    def answer(self, rows: Iterable[Row]) -> list[Row]:
        """Its rows, in an order of their own."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in filter(self.where, rows):
            groups.setdefault(tuple(key(row) for key in self.keys.values()), []).append(row)
        made = [
            dict(zip(self.keys, keys, strict=True)) | {name: fold(group) for name, fold in self.aggregates.items()}
            for keys, group in groups.items()
        ]
        return sorted(made, key=lambda row: [str(value) for value in row.values()])


SALES = View(
    {"hour": lambda r: hour(r["placed"]), "shop": lambda r: r["shop"]},
    {
        "orders": len, "amount": over("amount", sum), "least": over("amount", min), "latest": over("placed", max),
        "weight": over("weight", mean), "buyers": distinct("buyer", priced),
    },
)  # fmt: skip
CHANGED = View(
    {"month": lambda r: month_in_seoul(r["placed"]), "place": lambda r: r["shop"] and r["shop"].upper()},
    {
        "priced": lambda rows: len(values(rows, "amount")), "mean": over("amount", mean, by_x),
        "heaviest": over("weight", max), "ids": distinct("id"),
    },
    lambda r: r["amount"] != 2,
)  # fmt: skip
CHANGED_AGAIN = View(
    {"year": lambda r: year(r["placed"])},
    {"orders": len, "weight": over("weight", sum), "earliest": over("placed", min), "buyers": distinct("buyer")},
)
DAILY = View(
    {"day": lambda r: day(r["placed"]), "buyer": lambda r: r["buyer"]}, {"orders": len, "shop": over("shop", min)}
)
MOVES = View(
    {"hour": lambda r: hour(r["placed"]), "kind": lambda r: r["kind"]},
    {"moves": len, "amount": over("amount", sum), "weight": over("weight", sum), "shop": over("shop", max)},
)
BY_DAY = View(
    {"day": lambda r: day(r["placed"])},
    {
        "orders": len, "amount": over("amount", sum), "least": over("amount", min), "weight": over("weight", mean),
        "buyers": distinct("buyer", priced), "latest": over("placed", max),
    },
    lambda r: r["shop"] != "b",
)  # fmt: skip
BY_YEAR = View(
    {"year": lambda r: year(month_in_seoul(r["placed"]))},
    {
        "priced": lambda rows: len(values(rows, "amount")), "mean": over("amount", mean, by_x), "ids": distinct("id"),
    },
    lambda r: r["amount"] != 2,
)  # fmt: skip


def moves(orders: Iterable[Event], returns: Iterable[Event]) -> list[Row]:
    """The union that MOVES reads: returns without their weights, their amounts negative."""
    nothing = {"weight": None, "kind": "return"}
    return [{**vars(event), "kind": "sale"} for event in orders] + [
        {"placed": e.placed, "shop": e.shop, "amount": None if e.amount is None else -e.amount, **nothing}
        for e in returns
        if e.shop is not None
    ]


def answer(view: View, orders: Iterable[Event], returns: Iterable[Event]) -> list[Row]:
    """What a view must answer over these events."""
    return view.answer(moves(orders, returns) if view is MOVES else (vars(event) for event in orders))
