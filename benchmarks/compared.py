"""Beside each figure the one of an earlier build/bench.json, and their ratio.

Both are told apart by benchmark, name, unit and what they are over; a name says of how many events or views it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LAYOUT = 1
"""Of build/bench.json: another one is refused."""

Key = tuple[str, str, str, str]
"""Benchmark, name, unit, and what the figure is over."""


@dataclass(frozen=True)
class Report:
    """What a build/bench.json says. `load`: of the machine's last minute, when it was written."""

    at: str
    size: str
    versions: Mapping[str, str]
    system: str
    cores: int
    load: float
    values: Mapping[Key, float]


@dataclass(frozen=True)
class Comparison:
    """`beside`: the earlier value and the ratio of each figure of now, as shown; `notes`: all else, in words."""

    beside: Mapping[Key, tuple[str, str]]
    notes: tuple[str, ...]


def earlier(path: str) -> Report:
    """An earlier file's. Raises ArgumentTypeError, which argparse tells before anything is measured."""
    try:
        return parsed(json.loads(Path(path).read_text()))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{path} is not what `make bench` writes: {error}. Give a file that it wrote, as build/bench.json"
        ) from error


def parsed(found: object) -> Report:
    """What was read from JSON. Raises ValueError: another layout, something missing, or a figure that stands twice."""
    match found:
        case {"layout": layout} if layout != LAYOUT:
            raise ValueError(f"its layout is {layout}, and this reads {LAYOUT}")
        case {
            "layout": int(), "at": str(at), "size": str(size), "versions": {**versions},
            "machine": {"system": str(system), "cores": int(cores), "load": int(load) | float(load)},
            "figures": [*figures],
        }:  # fmt: skip
            values = dict(map(_value, figures))
            if len(values) < len(figures):
                raise ValueError("a figure stands in it twice")
            named = {str(name): str(version) for name, version in versions.items()}
            return Report(at, size, named, system, cores, load, values)
    raise ValueError("it lacks its layout, time, size, versions, machine or figures")


def _value(figure: object) -> tuple[Key, float]:
    match figure:
        case {
            "benchmark": str(benchmark), "name": str(name), "unit": str(unit), "against": str(against),
            "value": int(value) | float(value),
        }:  # fmt: skip
            return (benchmark, name, unit, against), value
    raise ValueError(f"a figure lacks its benchmark, name, unit, value or what it is over: {figure}")


def compared(now: Report, then: Report) -> Comparison:
    """Each figure of now beside its earlier one, and what makes them unlike. Time O(figures)."""
    beside = {key: _beside(value, then.values.get(key)) for key, value in now.values.items()}
    return Comparison(beside, (f"earlier: {then.at}, load {then.load:.1f}; now {now.load:.1f}", *_unlike(now, then)))


def _beside(now: float, then: float | None) -> tuple[str, str]:
    if then is None:
        return "none", ""
    return f"{then:,.3f}", f"{now / then:.2f}" if then else ""


def _unlike(now: Report, then: Report) -> list[str]:
    """In words."""
    notes = []
    if now.size != then.size:
        notes.append(f"another size: {then.size} then, {now.size} now, so the ratios are of unlike works")
    if (now.system, now.cores) != (then.system, then.cores):
        notes.append(
            f"another machine: {then.system}, {then.cores} cores then; {now.system}, {now.cores} cores now: "
            "only figures that are ratios compare"
        )
    names = sorted({*now.versions, *then.versions})
    versions = [(name, then.versions.get(name, "none"), now.versions.get(name, "none")) for name in names]
    if changed := [f"{name} {before} then, {after} now" for name, before, after in versions if before != after]:
        notes.append(f"other versions: {'; '.join(changed)}")
    measured = {benchmark for benchmark, *_ in now.values}
    gone = [key for key in then.values if key not in now.values]
    if skipped := sorted({benchmark for benchmark, *_ in gone} - measured):
        notes.append(f"measured then, not now: {', '.join(skipped)}")
    for benchmark, name, unit, over in gone:
        if benchmark in measured:
            said = f" over {over}" if over else ""
            notes.append(f"only then: {name}{said}: {then.values[benchmark, name, unit, over]:,.3f} {unit}")
    if new := sum(key not in then.values for key in now.values):
        notes.append(f"figures without an earlier one: {new}")
    return notes
