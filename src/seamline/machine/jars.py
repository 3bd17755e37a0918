"""The jars Seamline needs beside PySpark's own: resolved once by the Ivy that PySpark bundles, checked, kept.

They stand in `<home>/jars/<hash of ivy.xml and pins>/{spark,kafka}/`, where home is SEAMLINE_HOME or
~/.cache/seamline. A folder appears there only whole and verified (download aside, check, rename), and every jar in it
is hashed again by each process that puts it on a classpath (0.07 s for all). `python -m seamline.machine.jars` fetches,
`… list` prints them for `spark-submit --jars`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.machine.ivy import Watch, resolve


@dataclass(frozen=True)
class Pin:
    """A line of jars.sha256."""

    name: str
    digest: str

    instead_of: str | None = None
    """The jar that this one may replace."""


def parse_pins(text: str) -> tuple[Pin, ...]:
    """Reads jars.sha256: `sum  name  [the jar it may stand in for]`, and comments. Raises ValueError without a sum."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    unsummed = [row for row in rows if not re.fullmatch(r"[0-9a-f]{64}", row[0])]
    if unsummed:
        raise ValueError(f"jars.sha256: {' '.join(unsummed[0])!r} does not begin with a sha256")
    return tuple(Pin(row[1], row[0], row[2] if row[2:] else None) for row in rows)


def faults(pins: Iterable[Pin], digests: Mapping[str, str]) -> list[str]:
    """What is wrong with a folder whose jars have `digests` (name to sha256); empty where nothing is."""
    known = {pin.name: pin for pin in pins}
    replaced = {pin.instead_of for pin in known.values() if pin.instead_of and pin.name in digests}
    found = [f"{name} is not one of ours" for name in digests if name not in known]
    for pin in known.values():
        if pin.name in digests:
            if pin.digest != digests[pin.name]:
                found.append(f"{pin.name} has sha256 {digests[pin.name]}, expected {pin.digest}")
        elif pin.instead_of is None and pin.name not in replaced:
            found.append(f"{pin.name} is missing")
    return found


def jars_folder() -> Path:
    """Where the jars of this version of ivy.xml and its pins stand, once fetched."""
    version = hashlib.sha256(_resource("ivy.xml") + _resource("jars.sha256")).hexdigest()[:12]
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("SEAMLINE_HOME") or cache_home / "seamline")
    return home.expanduser().absolute() / "jars" / version


def spark_jars() -> list[Path]:
    """What Spark needs besides its own; fetched where missing."""
    return sorted((_verified(jars_folder()) / "spark").glob("*.jar"))


def kafka_classpath() -> list[Path]:
    """The embedded broker's whole classpath; fetched where missing."""
    return sorted((_verified(jars_folder()) / "kafka").glob("*.jar"))


@cache
def _verified(folder: Path) -> Path:
    """Once in each process."""
    if folder.exists():
        return ensure_jars(folder=folder)
    with shown_progress() as watch:
        return ensure_jars(watch, folder=folder)


def ensure_jars(watch: Watch | None = None, *, folder: Path | None = None) -> Path:
    """Makes sure that the jars are there and whole; returns their folder. Safe to call from several processes.

    Raises TerminalError JARS_INVALID naming each jar that does not match its sum, TransientError
    JARS_INVALID where they could not be downloaded, UserError JAVA_MISSING.
    """
    target = folder or jars_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    pins = parse_pins(_resource("jars.sha256").decode())
    with FileLock(target.parent / f".{target.name}.lock"):
        if target.exists():
            _check(target, pins)
            return target
        for left in target.parent.glob(f".{target.name}-*"):  # by a download that was killed
            shutil.rmtree(left, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            _fetch(aside, watch)
            _check(aside / "jars", pins)
            os.replace(aside / "jars", target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _fetch(aside: Path, watch: Watch | None) -> None:
    (aside / "ivy.xml").write_bytes(_resource("ivy.xml"))
    total = sum(pin.instead_of is None for pin in parse_pins(_resource("jars.sha256").decode()))
    resolve(aside / "ivy.xml", aside / "jars", aside / "ivy", total, watch or (lambda *_: None))


def _check(folder: Path, pins: tuple[Pin, ...]) -> None:
    """Compares the folder with the pins: every jar is read, since one that was exchanged can keep its size and time."""
    found = faults(pins, {f"{jar.parent.name}/{jar.name}": _digest(jar) for jar in sorted(folder.glob("*/*.jar"))})
    if found:
        raise TerminalError(
            Condition.JARS_INVALID,
            "; ".join(found),
            detail="exactly the jars of seamline/machine/jars.sha256",
            hint=f"rm -r '{folder}' && python -m seamline.machine.jars (fetches them again)",
            where=str(folder),
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _resource(name: str) -> bytes:
    return files("seamline.machine").joinpath(name).read_bytes()


@contextmanager
def shown_progress() -> Iterator[Watch]:
    """A bar on standard error; a line now and then where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, int] = {}

        def watch(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(f"jars: {stage}", total=total)
            progress.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield watch


def _plain_lines(console: Console) -> Watch:
    said: set[tuple[str, int]] = set()

    def watch(stage: str, done: int, total: int) -> None:
        if (done % 10 == 0 or done == total) and (stage, done) not in said:
            said.add((stage, done))
            console.print(f"jars: {stage} {done}/{total}", highlight=False)

    return watch


def pin() -> None:
    """Resolves ivy.xml afresh and writes the sums into this checkout's jars.sha256.

    Comments and alternatives stay, and the jar that an alternative was resolved in the place of.
    """
    path = Path(__file__).with_name("jars.sha256")
    before = path.read_text()
    with tempfile.TemporaryDirectory() as aside, shown_progress() as watch:
        _fetch(Path(aside), watch)
        found = {f"{jar.parent.name}/{jar.name}": _digest(jar) for jar in Path(aside, "jars").glob("*/*.jar")}
    path.write_text(pinned(before, found))


def pinned(before: str, found: Mapping[str, str]) -> str:
    """jars.sha256 after `found` (name to sum) was resolved."""
    comments = [line for line in before.splitlines() if line.startswith("#")]
    pins = {pin.name: pin for pin in parse_pins(before)}
    others = [one for one in pins.values() if one.instead_of]
    replaced = [pins[one.instead_of] for one in others if one.instead_of and one.name in found]
    sums = {one.name: one.digest for one in replaced} | {
        name: digest for name, digest in found.items() if name not in {one.name for one in others}
    }
    alternatives = [f"{found.get(one.name, one.digest)}  {one.name}  {one.instead_of}" for one in others]
    return "\n".join([*comments, *(f"{sums[name]}  {name}" for name in sorted(sums)), *alternatives]) + "\n"


def main(arguments: list[str]) -> None:
    """`python -m seamline.machine.jars [list | pin]`."""
    match arguments:
        case ["pin"]:
            pin()
        case ["list"]:
            print(",".join(map(str, spark_jars())))
        case []:
            with shown_progress() as watch:
                print(f"jars verified in {ensure_jars(watch)}")
        case _:
            sys.exit("usage: python -m seamline.machine.jars [list | pin]")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SeamlineError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
