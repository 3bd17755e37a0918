"""Two replicas of one lake, of different ages, agree epoch by epoch, with plain sums as the third."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from handmade import OTHER, VIEW, Handmade, Row, rows
from workingrole import WorkingRole

EPOCHS = 100
ASKED = (
    "SELECT shop, sum(orders)::INT AS orders, MEASURE(amount)::VARCHAR AS amount FROM sales GROUP BY shop ORDER BY shop"
)


class Pair:
    """Two roles over one lake; the second is begun anew now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made, self.begun = folder, Handmade(folder / "lake", VIEW, OTHER), 0
        self.made.epoch(rows(3))
        self.roles = [self.role(), self.role()]

    def role(self) -> WorkingRole:
        self.begun += 1
        return WorkingRole(self.folder / f"role{self.begun}", self.made, workers=1)

    def again(self) -> None:
        self.roles.pop().stop()
        self.roles.append(self.role())

    def both(self, **more: Any) -> list[list[Any]]:
        """What each answers to the same question, at the same time."""
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda role: role.query(ASKED, **more), self.roles))
        assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
        return [answer.json()["rows"] for answer in answers]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    for role in made.roles:
        role.stop()


def plainly(sent: list[Row]) -> list[list[Any]]:
    orders, amounts = Counter[str](), Counter[str]()
    for shop, _, amount in sent:
        orders[shop] += 1
        amounts[shop] += amount
    return [[shop, orders[shop], str(amounts[shop])] for shop in sorted(orders)]


def test_two_replicas_agree_epoch_by_epoch(pair: Pair) -> None:
    made = pair.made
    wanted = {made.number: plainly(made.sent)}
    for _ in range(EPOCHS):
        made.epoch(rows(1 + made.number % 7, len(made.sent)))
        wanted[made.number] = plainly(made.sent)
        if made.number % 20 == 10:
            made.version(list(made.sent), made.ends[-1])
        if made.number % 30 == 0:
            pair.again()
        assert pair.both(at_least=made.number) == [wanted[made.number]] * 2
    for epoch in sorted(wanted)[::9]:
        assert pair.both(as_of=epoch) == [wanted[epoch]] * 2
