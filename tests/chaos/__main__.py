"""`make chaos SEED=n KILLS=n`: exit code 0 only if every answer was true."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import traceback
from pathlib import Path

from chaos import Run, play
from recovery import worst
from world import World

from seamline.console import note, say, show_table
from seamline.wording import duration

MARK = ".chaos"
"""Stands in folders that a run made, which another may empty."""


def main() -> int:
    """Plays a run, reports, and says how to play it again where it failed."""
    parser = argparse.ArgumentParser(prog="chaos", description="Faults from a seed, while every answer is checked.")
    parser.add_argument("--seed", type=int, default=1, help="decides which faults, in which order, when, against what")
    parser.add_argument("--kills", type=int, default=10, help="how many processes are killed or frozen")
    parser.add_argument("--rate", type=float, default=40, help="records a second")
    parser.add_argument("--folder", type=Path, help="where the project is made, emptied first (build/chaos-SEED)")
    parser.add_argument("--keep", action="store_true", help="keep the folder where all is well, too")
    given = parser.parse_args()
    folder = given.folder or Path("build") / f"chaos-{given.seed}"
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        parser.error(f"{folder} is not empty, and no chaos made it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    run = Run(given.seed, given.kills)
    note(f"seed {run.seed}, {run.kills} kills, in {folder}")
    failure = ""
    try:
        play(World(folder), run, given.rate)
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is reported with what is needed to run it again
        failure = f"{type(error).__name__}: {error}"
        (folder / "failure.txt").write_text(traceback.format_exc())
    report(run)
    if failure:
        say(f"\nFAILED: {failure[:4000]}")
        say(f"run it again: make chaos SEED={run.seed} KILLS={run.kills}")
        say(f"kept: {folder.absolute()} (failure.txt, up.log, .seamline/logs, the lake)")
        return 1
    say(f"\nEvery answer was true. (seed {run.seed})")
    if not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def report(run: Run) -> None:
    """Faults by kind with their recovery, then what was checked."""
    rows = []
    for kind in sorted({struck.kind for struck in run.struck}):
        times = [(s.alone, t) for s, t in zip(run.struck, run.recovery, strict=True) if s.kind == kind]
        alone, all_ = worst(t for quiet, t in times if quiet), worst(t for _, t in times)
        rows.append((kind, len(times), _seconds(alone), _seconds(all_)))
    for kind in sorted(set(run.missed)):
        rows.append((f"{kind} (missed)", run.missed.count(kind), "", ""))
    title = f"seed {run.seed}: worst recovery, seconds from a fault to an answer that covers a record sent after it"
    show_table(("fault", "times", "alone", "among others"), rows, title)
    say(f"{run.hit} kills and {len(run.struck) - run.hit} other faults in {duration(run.seconds)}")
    say(
        f"{run.checked:,} answers checked over {run.records:,} records, {run.versions} batch versions audited,"
        f" {run.definitions} definitions; {run.refused} times not ready, {run.unreachable} times out of reach"
    )
    busy = f"on {os.cpu_count()} cores with a load average of {os.getloadavg()[2]:.1f}"
    say(f"worst recovery: {_seconds(worst(run.recovery)) or '-'} s, {busy}")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
