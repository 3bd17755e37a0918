"""What was served against what was recomputed: every group that one side lacks and every column that differs is told,
with its largest difference; rounding alone is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from handmade import Handmade, Row

from seamline.entries.batch import ColumnDrift
from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.jobs.compare import GROUP, compare, explain, largest, not_compared
from seamline.kernel import Kernel
from seamline.lake import Lake

VIEW = """\
CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, count(*) AS orders, sum(amount) AS amount, max(shop) AS latest,
       var_pop(amount::DOUBLE) AS spread, skewness(amount::DOUBLE / 3) AS lean
FROM orders GROUP BY ALL
"""


class Sides:
    """Compares two lists of files, each given as its rows."""

    def __init__(self, folder: Path) -> None:
        self.made = Handmade(folder, VIEW, lake=Lake.open(str(folder)))

    def __call__(
        self, served: Sequence[Sequence[Row]], recomputed: Sequence[Sequence[Row]]
    ) -> tuple[int, dict[str, tuple[int, str]]]:
        of = self.made.served()
        files = [[file.path for rows in side if (file := self.made.write(of, rows))] for side in (served, recomputed)]
        groups, drift = compare(self.made.lake, self.made.engine, of, *files)
        return groups, {one.column: (one.groups, one.largest) for one in drift}


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


ROWS: list[Row] = [("a", 0, 10), ("b", 0, 20), ("b", 1, 5), ("c", 2, 7)]


def test_the_same_rows_in_other_files_do_not_differ(sides: Sides) -> None:
    assert sides([ROWS], [ROWS[:1], ROWS[1:3], ROWS[3:]]) == (3, {})
    assert sides([], []) == (0, {})


def test_a_group_that_one_side_lacks_is_told_and_nothing_else_of_it(sides: Sides) -> None:
    assert sides([ROWS], [ROWS[:3]]) == (3, {GROUP: (1, "")})
    assert sides([ROWS[:2]], [ROWS]) == (3, {GROUP: (2, "")})
    assert sides([], [ROWS]) == sides([ROWS], []) == (3, {GROUP: (3, "")})


def test_columns_that_differ_are_told_with_their_groups_and_the_largest_difference(sides: Sides) -> None:
    other = [("a", 0, 10), ("b", 0, 21), ("z", 1, 15), ("c", 2, 7)]
    groups, drift = sides([ROWS], [other])
    assert (groups, drift["amount"], drift["latest"]) == (3, (2, "10.0"), (1, "b became z"))
    assert set(drift) >= {"amount", "latest", "spread", "spread: counts"}
    groups, drift = sides([ROWS], [[*ROWS, ("c", 2, 0)]])
    assert (drift["orders"], drift["(events)"]) == ((1, "1.0"), (1, "1.0"))
    assert "amount" not in drift


def test_rounding_is_measured_by_what_was_added_up(sides: Sides) -> None:
    even = [("a", 0, n * n % 1009 * sign) for n in range(200) for sign in (1, -1)]
    assert sides([even], [even[n::7] for n in range(7)]) == (1, {}), "of what cancels to 0 only rounding is left"
    odd = [*even[:-1], ("a", 0, even[-1][2] - 9)]
    assert sides([even], [odd])[1].keys() >= {"spread", "lean"}


@pytest.mark.parametrize("condition", [Condition.KERNEL_MEMORY, Condition.KERNEL_FAILED])
def test_files_that_do_not_fit_together_are_merged_first_and_nothing_of_that_is_left(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, condition: Condition
) -> None:
    run, merged = Kernel.run, list[str]()

    def cramped(kernel: Kernel, statement: str, inputs: Any = None, into: Any = None) -> Any:
        """Compares no more than one file with another."""
        merged.extend([into] if into is not None and "/audit/" in into else [])
        if "FULL JOIN" in statement and any(isinstance(of, list) and len(of) > 1 for of in inputs.values()):
            raise TerminalError(condition, "too much")
        return run(kernel, statement, inputs, into=into) if into else run(kernel, statement, inputs)

    monkeypatch.setattr(Kernel, "run", cramped)
    if condition is not Condition.KERNEL_MEMORY:
        with pytest.raises(SeamlineError, match="too much"):
            sides([ROWS], [ROWS[:1], ROWS[1:]])
        assert merged == []
        return
    assert sides([ROWS], [ROWS[:1], ROWS[1:]]) == (3, {})
    assert sides([], [ROWS[:1], ROWS[1:]]) == (3, {GROUP: (3, "")})
    assert merged
    assert not list(Path(sides.made.lake.uri).rglob("audit/*.parquet"))


def test_the_largest_difference_of_all_slices_is_one_of_them() -> None:
    assert largest(["9.0", None, "10.0"], "DOUBLE") == "10.0"
    assert largest(["10.0", "nan"], "DOUBLE") == largest(["nan", "10.0"], "DOUBLE") == "nan"
    assert largest(["b became c", "a became z"], "VARCHAR") == "a became z"
    assert largest([None], "DOUBLE") == largest([], "VARCHAR") == ""


def drift(column: str, groups: int, explained: str = "") -> ColumnDrift:
    return ColumnDrift(column=column, groups=groups, largest="1", explained=explained)


def test_what_is_left_once_a_reason_is_taken_into_account_is_not_explained_by_it() -> None:
    found = (drift("a", 3), drift("b", 2), drift("c", 1))
    assert explain(found, (drift("a", 1), drift("b", 2)), "import") == (
        drift("a", 2, "import"),
        drift("c", 1, "import"),
    )
    assert explain(found, found, "import") == ()


def test_where_nothing_can_be_compared_the_audit_says_so() -> None:
    audit = not_compared("no chain", 2)
    assert (audit.compared, audit.note, audit.disagreeing_copies) == (False, "no chain", 2)
