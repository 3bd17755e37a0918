"""The changes that `make mutants` tries: each is one change of a file that still is Python."""

from __future__ import annotations

import ast
import sys

import pytest
from places import ROOT

sys.path.append(str(ROOT / "tests/mutants"))

from operators import mutants
from table import EQUIVALENT, JUDGES, KNOWN, Equivalent

SOURCE = """\
def much(ü: int, held: bool) -> int:
    if ü >= 2 and not held:
        raise ValueError("ü")
    check(ü)
    return max(ü + 1, 0)
"""

QUIET = """\
@dataclass(frozen=True)
class Much:
    much: int | None

    def more(self, by: int | None) -> int | None:
        logger.info("more", 1)
        return zip(self, by, strict=True)
"""


def test_each_thing_that_can_be_changed_is_changed_once() -> None:
    assert [one.what for one in mutants(SOURCE)] == [
        "the condition is False", "the condition is True", ">= becomes >", "2 becomes 3", "and becomes or", "not goes",
        "raise goes", "check() is not called", "max becomes min", "+ becomes -", "1 becomes 2", "0 becomes 1",
    ]  # fmt: skip
    assert next(m for m in mutants(SOURCE) if m.what == "raise goes").applied(SOURCE).splitlines()[2] == "        pass"


@pytest.mark.parametrize("module", JUDGES)
def test_a_mutant_is_another_file_that_is_python(module: str) -> None:
    source = (ROOT / module).read_text()
    found = list(mutants(source))
    assert len(found) > 5
    before = ast.dump(ast.parse(source))
    assert all(ast.dump(ast.parse(found[at].applied(source))) != before for at in range(0, len(found), len(found) // 5))
    assert all(len([*ROOT.glob(f"tests/*/{judge}")]) == 1 for judge in JUDGES[module])


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_a_named_mutant_can_be_made(known: object) -> None:
    source = (ROOT / known.module).read_text()  # type: ignore[attr-defined]
    assert source.count(known.before) == 1  # type: ignore[attr-defined]
    assert [*ROOT.glob(f"tests/*/{known.judges[0]}")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("told", EQUIVALENT, ids=lambda told: f"{told.module}: {told.line}: {told.what}")
def test_a_mutant_that_is_explained_can_be_made(told: Equivalent) -> None:
    source = (ROOT / told.module).read_text()
    lines = source.splitlines()
    assert any(one.what == told.what and lines[one.line - 1].strip() == told.line for one in mutants(source))


def test_what_says_nothing_about_behaviour_is_left_alone() -> None:
    assert not list(mutants(QUIET))
