"""`make mutants`: changes the source one thing at a time, and looks whether a test without Spark notices.

A copy of the package is changed, never the checkout. Each mutant runs in a fork that has the libraries imported and
not yet Seamline; one that takes too long counts as killed. One that nobody can observe is not run: its reason is said.
Exit code 1 where one survives, or a named one cannot be made.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from compileall import compile_dir
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from py_compile import PycInvalidationMode

from operators import mutants
from table import EQUIVALENT, JUDGES, KNOWN

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = (
    "pytest", "hypothesis", "duckdb", "pyarrow", "pyarrow.parquet", "pyarrow.compute", "pydantic", "pydantic_settings",
    "obstore", "deltalake", "numpy", "numpy.random", "yaml", "filelock", "kafka",
    "fastapi", "typer", "rich.console", "rich.table", "tenacity", "pandas", "pyarrow.dataset", "pyspark.sql",
    "open_data_contract_standard.model", "anyio.pytest_plugin", "anyio._backends._asyncio", "xdist.plugin",
    "pytest_timeout", "_hypothesis_pytestplugin",
)  # fmt: skip
SURVIVES, KILLED, TOO_LONG = "SURVIVES", "killed", "killed: takes too long"


@dataclass(frozen=True)
class Case:
    """One mutant: a module's changed text, and the tests that judge it."""

    name: str
    module: str
    text: str
    judges: tuple[str, ...]
    explained: str = ""


def known(modules: Sequence[str]) -> Iterator[Case]:
    """Those that have a name."""
    for one in KNOWN:
        source = (ROOT / one.module).read_text()
        if source.count(one.before) != 1:
            sys.exit(f"{one.name}: {one.module} does not hold this once: {one.before!r}")
        if one.module in modules or one.module not in JUDGES:
            yield Case(one.name, one.module, source.replace(one.before, one.after), one.judges)


def generated(modules: Sequence[str], most: int, seed: int) -> Iterator[Case]:
    """Up to `most` of each module, drawn by `seed`: a change elsewhere in a module leaves the draw nearly as it is."""
    reasons = {(one.module, one.line, one.what): one.reason for one in EQUIVALENT}
    for module in modules:
        source = (ROOT / module).read_text()
        lines = [line.strip() for line in source.splitlines()]
        found = [(lines[one.line - 1], one) for one in mutants(source)]
        drawn = sorted(found, key=lambda each: sha256(f"{seed} {each[1].what} {each[0]}".encode()).digest())[:most]
        for line, one in sorted(drawn, key=lambda each: each[1].start):
            name = f"{module}:{one.line}: {one.what}"
            yield Case(name, module, one.applied(source), JUDGES[module], reasons.get((module, line, one.what), ""))


def copied(folder: Path) -> None:
    """The package as it would be installed."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src/seamline", folder / "seamline", ignore=ignore)
    compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


def place(module: str) -> str:
    """Where a module of the checkout stands in the copy."""
    return module.removeprefix("src/") if module.startswith("src/") else f"seamline/{module}"


def tried(case: Case, folder: Path, seconds: float) -> str:
    """What became of it: SURVIVES where no test notices."""
    file = folder / place(case.module)
    before = file.read_text()
    file.write_text(case.text)
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(judged(case, folder))
    try:
        deadline = time.monotonic() + seconds
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return TOO_LONG
            time.sleep(0.02)
    finally:
        file.write_text(before)
    return KILLED if os.waitstatus_to_exitcode(ended[1]) else SURVIVES


def judged(case: Case, folder: Path) -> int:
    """Pytest's exit code, in the fork."""
    import pytest

    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os.environ |= {"PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": "quick", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(folder), str(ROOT / "tests/support")]
    os.chdir(ROOT)
    chosen = ["-m", "not spark and not broker and not thorough"]
    tests = [str(file) for one in case.judges for file in ROOT.glob(f"tests/*/{one}")]
    return int(pytest.main(["-x", "-q", *chosen, *tests]))


def main() -> int:
    """Runs what was asked for."""
    asked = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    asked.add_argument("--modules", nargs="*", default=list(JUDGES), choices=list(JUDGES), metavar="MODULE")
    asked.add_argument("--most", type=int, default=40, help="mutants of each module (40; 0: only those with a name)")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--seconds", type=float, default=300, help="until a mutant counts as killed")
    options = asked.parse_args()
    for library in LIBRARIES:
        import_module(library)
    gc.freeze()
    cases = [*known(options.modules), *generated(options.modules, options.most, options.seed)]
    left = []
    with tempfile.TemporaryDirectory(prefix="seamline-mutants-") as folder:
        copied(Path(folder))
        for module in dict.fromkeys(case.module for case in cases):
            judges = tuple(dict.fromkeys(judge for case in cases if case.module == module for judge in case.judges))
            untouched = Case("nothing changed", module, (ROOT / module).read_text(), judges)
            if tried(untouched, Path(folder), 4 * options.seconds) != SURVIVES:
                sys.exit(f"the tests of {module} fail though nothing is changed: {', '.join(judges)}")
        for number, case in enumerate(cases, 1):
            said = case.explained or tried(case, Path(folder), options.seconds)
            left += [case.name] * (said == SURVIVES)
            print(f"{number}/{len(cases)} {case.name}: {said}", flush=True)
    explained = sum(bool(case.explained) for case in cases)
    print(
        f"{len(cases)} mutants: {len(cases) - explained - len(left)} killed, {explained} explained, {len(left)} survive"
    )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
