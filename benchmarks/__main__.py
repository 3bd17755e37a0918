"""Runs the benchmarks, prints one table, and writes build/bench.json.

python benchmarks [name ...] [--size small|whole] [--against FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from compared import LAYOUT, Comparison, Key, compared, earlier, parsed
from figures import Figure, Size

MODULES = (
    "rebuild",
    "refresh",
    "views",
    "verify",
    "answer",
    "lookups",
    "load",
    "pruned",
    "polling",
    "stream",
    "kinds",
    "growth",
    "rawfiles",
    "recovery",
    "sketches",
    "idle",
    "byhand",
    "first",
)
"""Each has `measure(size)`. One is imported when its turn comes: Spark's session is its own."""

OUT = Path("build") / "bench.json"


def main() -> None:
    """Parses what was asked, runs it, shows it, and writes it."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=MODULES, help=f"of {', '.join(MODULES)} (default: all)")
    parser.add_argument("--size", type=Size, default=Size.SMALL, help="small (minutes) or whole")
    parser.add_argument("--against", type=earlier, help="an earlier build/bench.json, to be compared with")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(MODULES):
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    found: dict[str, list[Figure]] = {}
    for name in asked.names:
        began = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        found[name] = import_module(name).measure(asked.size)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    now = report(found, asked.size)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(now, indent=2) + "\n")
    print(table(found, compared(parsed(now), asked.against) if asked.against else None))
    print(f"\nwritten to {OUT}")


def table(found: dict[str, list[Figure]], beside: Comparison | None) -> str:
    """Name, value, unit, what it was compared with, and the bar; the earlier value and the ratio where there is one."""
    named = ["figure", "value", "unit", "over", "bar", *(["earlier", "ratio"] if beside else [])]
    rows = [named, *(_row(name, figure, beside) for name, figures in found.items() for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = ["", *beside.notes] if beside else []
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:], *notes])


def _row(name: str, figure: Figure, beside: Comparison | None) -> list[str]:
    key: Key = (name, figure.name, figure.unit, figure.against)
    shown = [figure.name, f"{figure.value:10,.3f}", figure.unit, figure.against, figure.bar]
    return [*shown, *beside.beside[key]] if beside else shown


def report(found: dict[str, list[Figure]], size: Size) -> dict[str, object]:
    """Everything, with what it was measured on."""
    return {
        "layout": LAYOUT,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": size.value,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("seamline", "pyspark", "duckdb", "deltalake", "pyarrow")},
        },
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "figures": [{"benchmark": name, **asdict(figure)} for name, figures in found.items() for figure in figures],
    }


if __name__ == "__main__":
    main()
