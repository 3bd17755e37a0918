"""`make bench AGAINST=…`: what stands beside each figure, and what is refused before anything is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from compared import compared, parsed


def written(*figures: tuple[str, str, float, str, str], **other: object) -> dict[str, Any]:
    """A bench.json of (benchmark, name, value, unit, over)."""
    names = ("benchmark", "name", "value", "unit", "against")
    return {
        "layout": 1,
        "at": "2026-11-29T10:00:00+00:00",
        "size": "small",
        "versions": {"python": "3.11.7", "duckdb": "2.0.1"},
        "machine": {"system": "Linux", "cores": 2, "load": 0.5},
        "figures": [dict(zip(names, figure, strict=True)) for figure in figures],
    } | other


def test_each_figure_has_its_earlier_value_and_the_ratio() -> None:
    then = written(("stream", "rate", 80_000, "events/s", ""), ("views", "six", 2.0, "ratio", "the first"))
    now = written(("stream", "rate", 100_000, "events/s", ""), ("views", "six", 1.5, "ratio", "the first"))
    found = compared(parsed(now), parsed(then))
    assert found.beside == {
        ("stream", "rate", "events/s", ""): ("80,000.000", "1.25"),
        ("views", "six", "ratio", "the first"): ("2.000", "0.75"),
    }
    assert found.notes == ("earlier: 2026-11-29T10:00:00+00:00, load 0.5; now 0.5",)


def test_figures_of_one_name_are_told_apart_by_unit_and_by_what_they_are_over() -> None:
    figures = [
        ("rebuild", "by clock", 1.0, "ratio", "DuckDB"),
        ("rebuild", "by clock", 2.0, "ratio", "Spark"),
        ("rebuild", "by clock", 0.0, "s", "Spark"),
    ]
    found = compared(parsed(written(*figures)), parsed(written(*figures)))
    assert [*found.beside.values()] == [("1.000", "1.00"), ("2.000", "1.00"), ("0.000", "")]


def test_what_only_one_of_the_two_has_is_said() -> None:
    then = written(
        ("stream", "old", 7.0, "s", "all"), ("idle", "memory", 2.0, "MB", ""), ("stream", "rate", 1, "s", "")
    )
    now = written(("stream", "rate", 1, "s", ""), ("stream", "new", 3.0, "s", ""))
    found = compared(parsed(now), parsed(then))
    assert found.beside["stream", "new", "s", ""] == ("none", "")
    assert found.notes[1:] == (
        "measured then, not now: idle",
        "only then: old over all: 7.000 s",
        "figures without an earlier one: 1",
    )


def test_another_size_machine_or_versions_is_said() -> None:
    then = parsed(written(size="whole", versions={"python": "3.11.7", "duckdb": "2.0.0", "arro3": "1"}))
    now = parsed(written())
    size, versions = compared(now, then).notes[1:]
    assert size == "another size: whole then, small now, so the ratios are of unlike works"
    assert versions == "other versions: arro3 1 then, none now; duckdb 2.0.0 then, 2.0.1 now"
    for other in (replace(now, cores=4), replace(now, system="Darwin")):
        (machine,) = compared(now, other).notes[1:]
        assert machine.startswith(f"another machine: {other.system}, {other.cores} cores then; Linux, 2 cores now")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "is not what `make bench` writes: Expecting"),
        ("[]", "it lacks its layout"),
        (json.dumps(written(layout=2)), "its layout is 2, and this reads 1"),
        (json.dumps(written(machine={"cores": 2})), "it lacks its layout"),
        (json.dumps(written(("a", "b", 1.0, "s", ""), ("a", "b", 2.0, "s", ""))), "a figure stands in it twice"),
        (json.dumps(written(("a", "b", "much", "s", ""))), "a figure lacks its benchmark"),  # type: ignore[arg-type]
    ],
)
def test_a_file_that_is_missing_damaged_or_of_another_layout_is_refused_first(
    text: str | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "bench.json"
    if text is not None:
        file.write_text(text)
    command = [sys.executable, str(ROOT / "benchmarks"), "growth", "--against", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"argument --against: {file}" in done.stderr
    assert said in done.stderr
    assert "growth ..." not in done.stderr
