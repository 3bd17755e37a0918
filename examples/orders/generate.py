"""Writes the orders and refunds of four shops in three currencies, in order of arrival.

Standard library only, and the same arguments give the same bytes. Money is reckoned in Python's decimals and written
with every digit. Some records come late, twice or broken, in known shares; what becomes of each is known here, and
printed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

Event = dict[str, Any]

SAMPLE = Path(__file__).parent / "orders.jsonl.gz"
FIRST_DAY = datetime(2025, 3, 3, tzinfo=UTC)
DAYS = 4
CENT = Decimal("0.01")
LATE, TWICE, BROKEN, REFUNDED = 0.05, 0.03, 0.01, 0.06
"""Shares of the events: come 1 to 30 hours late, come twice, broken records on top; of the sales: are refunded."""

SHOPS = {
    "helsinki": ("EUR", Decimal("0.255")),
    "lisbon": ("EUR", Decimal("0.23")),
    "london": ("GBP", Decimal("0.2")),
    "boston": ("USD", Decimal("0.0625")),
}
"""Each shop's own currency, and its tax on everything."""
RATES = {
    "EUR": [Decimal("1")] * DAYS,
    "GBP": [Decimal(f"{rate}e-6") for rate in (1208313, 1209190, 1203949, 1194872)],
    "USD": [Decimal(f"{rate}e-6") for rate in (959233, 951656, 936505, 924813)],
}
"""Euros for one unit of a currency, day by day; made up."""
GOODS = [
    ("tea-green", "4.90"),
    ("tea-oolong", "12.35"),
    ("tea-puerh", "29.99"),
    ("coffee-house", "7.25"),
    ("coffee-geisha", "48.10"),
    ("cup", "3.33"),
    ("pot", "89.00"),
    ("kettle", "149.95"),
    ("grinder", "215.49"),
    ("voucher", "10.00"),
]


@dataclass
class Counts:
    """What is known of the records; rejected ones by reason."""

    counted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    late: int = 0
    refunds: int = 0

    def table(self) -> str:
        """Markdown: law 3's terms, then why records are rejected."""
        rejected = sum(self.rejected.values())
        read = self.counted + self.duplicates + rejected
        lines = ["| read | counted | duplicate | rejected |", "|---|---|---|---|"]
        lines += [f"| {read:,} | {self.counted:,} | {self.duplicates:,} | {rejected:,} |", ""]
        lines += ["| rejected because | records |", "|---|---|"]
        return "\n".join([*lines, *(f"| {reason} | {n:,} |" for reason, n in sorted(self.rejected.items()))])


def make(orders: int, seed: int) -> tuple[list[bytes], Counts]:
    """The lines in order of arrival, and what becomes of them."""
    dice = random.Random(seed)  # noqa: S311 - data to be made again, not a secret
    happened = list(happen(orders, dice))
    counts = Counts(counted=len(happened), refunds=len(happened) - orders)
    arrivals: list[tuple[datetime, bytes]] = []
    for event in happened:
        arrival = event["placed"] + timedelta(milliseconds=dice.randrange(3000))
        if dice.random() < LATE:
            arrival += timedelta(minutes=dice.randrange(60, 1800))
            counts.late += 1
        arrivals.append((arrival, line(event)))
        if dice.random() < TWICE:
            counts.duplicates += 1
            # every other copy is the same event in other bytes
            copy = dict(reversed(event.items())) if dice.random() < 0.5 else event
            arrivals.append((arrival + timedelta(seconds=dice.randrange(1, 1800)), line(copy)))
    for number in range(int(orders * BROKEN)):
        reason, broken = BREAKS[number % len(BREAKS)]
        event = dice.choice(happened)
        counts.rejected[reason] += 1
        arrivals.append((event["placed"], broken({**event, "id": f"x{number}"})))
    return [value for _, value in sorted(arrivals)], counts


def happen(orders: int, dice: random.Random) -> Iterator[Event]:
    """Sales in order of time, each followed by its refund where there is one."""
    last = FIRST_DAY + timedelta(days=DAYS)
    for number, at in enumerate(sorted(moment(dice) for _ in range(orders)), start=1):
        sold = sale(f"o{number}", at, dice)
        yield sold
        if dice.random() < REFUNDED:
            yield refund(sold, min(at + timedelta(minutes=dice.randrange(10, 2000)), last - timedelta(seconds=1)), dice)


def sale(name: str, at: datetime, dice: random.Random) -> Event:
    shop = dice.choice(list(SHOPS))
    currency, tax = SHOPS[shop]
    if dice.random() < 0.1:
        currency = dice.choice(list(RATES))
    goods = dice.sample(GOODS, dice.choices([1, 2, 3, 4, 5], [50, 25, 13, 8, 4])[0])
    lines = [{"sku": sku, "pieces": dice.randrange(1, 4), "price": Decimal(price)} for sku, price in goods]
    who = {"id": f"c{int(900 * dice.random() * dice.random()) + 1}", "country": dice.choice(["FI", "PT", "GB", "US"])}
    head = {"id": name, "kind": "sale", "placed": at, "shop": shop, "customer": who}
    return {**head, **money(currency, RATES[currency][(at - FIRST_DAY).days], tax, lines)}


def refund(sold: Event, at: datetime, dice: random.Random) -> Event:
    """All of a sale, or one line of it, with the rates of the sale and negative pieces and amounts."""
    chosen = sold["lines"] if dice.random() < 0.7 else [dice.choice(sold["lines"])]
    lines = [{**one, "pieces": -one["pieces"]} for one in chosen]
    head = {"id": f"{sold['id']}-r", "kind": "refund", "of": sold["id"], "placed": at}
    kept = {name: sold[name] for name in ("shop", "customer")}
    return {**head, **kept, **money(sold["currency"], sold["rate"], sold["tax_rate"], lines)}


def money(currency: str, rate: Decimal, tax_rate: Decimal, lines: list[Event]) -> Event:
    """Tax is rounded to the cent once for each order, half a cent away from zero."""
    net = sum((one["pieces"] * one["price"] for one in lines), Decimal("0.00"))
    tax = (net * tax_rate).quantize(CENT, ROUND_HALF_UP)
    amounts = {"net": net, "tax_rate": tax_rate, "tax": tax, "total": net + tax}
    return {"currency": currency, "rate": rate, **amounts, "lines": lines}


BREAKS: tuple[tuple[str, Callable[[Event], bytes]], ...] = (
    ("bad JSON", lambda e: line(e)[:-9]),
    ("too precise: total", lambda e: line({**e, "total": Decimal("12.345")})),
    ("wrong type: total", lambda e: line({**e, "total": str(e["total"])})),
    ("rule enum: currency", lambda e: line({**e, "currency": "DOGE"})),
    ("missing: lines[].price", lambda e: line({**e, "lines": [{"sku": "cup", "pieces": 1}]})),
    ("rule above: rate", lambda e: line({**e, "rate": 0})),
    ("bad UTF-8", lambda e: line(e).replace(b'"c', b'"\xff', 1)),
    ("out of range: total", lambda e: line({**e, "total": Decimal("123456789012.00")})),
    ("event time too early", lambda e: line({**e, "placed": datetime(1999, 12, 31, tzinfo=UTC)})),
    ("wrong type: lines", lambda e: line({**e, "lines": "a pot"})),
    ("event time in the future", lambda e: line({**e, "placed": datetime(9999, 12, 31, tzinfo=UTC)})),
    ("missing: placed", lambda e: line({k: v for k, v in e.items() if k != "placed"})),
)
"""Each way to break a record, and the reason it is rejected."""


def moment(dice: random.Random) -> datetime:
    """Seconds: shops are open from 7 to 19 UTC."""
    return FIRST_DAY + timedelta(days=dice.randrange(DAYS), hours=7, seconds=dice.randrange(12 * 3600))


def line(event: Event) -> bytes:
    return text(event).encode()


def text(value: Any) -> str:
    """JSON; the json module has no way to write a decimal's own digits as a number."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text(one) for one in value) + "]"
    if isinstance(value, datetime):
        return f'"{value:%Y-%m-%dT%H:%M:%S}Z"'
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=4000, help="how many sales; refunds come besides (default: 4000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=SAMPLE, help="a .jsonl.gz file (default: the sample here)")
    given = parser.parse_args()
    lines, counts = make(given.orders, given.seed)
    given.output.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))
    print(f"{len(lines):,} records, {counts.late:,} of them over an hour late, to {given.output}")
    print(f"{counts.refunds:,} of the {counts.counted:,} orders are refunds\n\n{counts.table()}")


if __name__ == "__main__":
    main()
