"""The two distributions as they are built, and environments that hold one of them with what it declares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from places import ROOT

PARTS = {"seamline": ROOT, "seamline-serve": ROOT / "deploy/serve"}
"""Each distribution's folder."""

BUILT_FROM = ("src", "schemas", "streaming", "jobs", "serving", "examples", "deploy")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")
MADE = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".seamline", "lake")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
"""Nothing below asks an index."""


def copied(folder: Path) -> Path:
    """The sources, links as links: a build leaves files beside them."""
    for name in BUILT_FROM:
        shutil.copytree(ROOT / name, folder / name, ignore=MADE, symlinks=True)
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    return folder


def wheels(into: Path, *sources: Path) -> dict[str, Path]:
    """Wheels of folders or source distributions, by the name of the distribution."""
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "--wheel-dir", str(into)]
    subprocess.run([*build, *map(str, sources)], check=True, capture_output=True, text=True)
    return {made.name.split("-")[0].replace("_", "-"): made for made in into.glob("*.whl")}


def declared(requirements: list[Requirement]) -> set[str]:
    """The distributions that these and their requirements name, on this machine."""
    found: set[str] = set()
    left = [(one.name, frozenset(one.extras)) for one in requirements]
    seen = set(left)
    while left:
        name, extras = left.pop()
        found.add(name.lower().replace("_", "-"))
        for one in map(Requirement, distribution(name).requires or ()):
            wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""})
            if wanted and (step := (one.name, frozenset(one.extras))) not in seen:
                seen.add(step)
                left.append(step)
    return found


def environment(folder: Path, wheel: Path, packages: set[str]) -> Path:
    """A virtual environment of its own with a wheel and the packages that are named, and nothing else: linked, file by
    file, to what the lock's hashes let into this one. Returns its folder of commands."""
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    line = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", line], check=True, capture_output=True, text=True).stdout.strip())
    for name, file in _files(packages):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(file, site / name)
    install = [*PIP, "--python", str(python), "install", "--no-deps", "--no-index", "-q", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    return folder / "bin"


def _files(packages: set[str]) -> Iterator[tuple[str, Path]]:
    for package in sorted(packages):
        for file in distribution(package).files or ():
            if ".." not in file.parts:  # commands, and what else lies outside
                yield str(file), Path(str(file.locate()))
