"""The wheel is whole: installed, it makes the demonstration's project in an empty folder, far from any source."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import ROOT

GITHUB = ROOT / "examples/github"
BUILT_FROM = ("src", "schemas", "streaming", "jobs", "serving", "examples")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")
MADE = shutil.ignore_patterns("__pycache__", "*.egg-info", ".seamline", "lake")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources: a build leaves files beside them."""
    copy, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for folder in BUILT_FROM:
        shutil.copytree(ROOT / folder, copy / folder, ignore=MADE)
    for file in BESIDE:
        shutil.copy(ROOT / file, copy)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*build, "--wheel-dir", str(built), str(copy)], check=True, capture_output=True, text=True)
    (made,) = built.glob("seamline-*.whl")
    return made


def test_the_wheel_holds_the_demonstrations_example_once_as_it_stands(wheel: Path) -> None:
    shipped = [path for path in GITHUB.rglob("*") if path.is_file() and not {".seamline", "lake"} & {*path.parts}]
    with zipfile.ZipFile(wheel) as archive:
        for path in shipped:
            assert archive.read(f"seamline/demo/github/{path.relative_to(GITHUB)}") == path.read_bytes()
        assert sum(name.endswith(".jsonl.gz") for name in archive.namelist()) == 2


def test_what_is_installed_makes_the_demonstrations_project_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    script = (
        "import json, sys; from pathlib import Path; import seamline\n"
        "from seamline.demo.demo import fresh_project\n"
        "from seamline.demo.example import hours\n"
        "made = fresh_project(Path('build/demo'))\n"
        "said = [seamline.__file__, sorted(made.views), sorted(made.contracts), [len(hour) for hour in hours()]]\n"
        "print(json.dumps(said))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=empty, env={**os.environ, "PYTHONPATH": str(installed)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    file, views, contracts, hours = json.loads(ran.stdout)
    assert Path(file).is_relative_to(installed)
    assert views == sorted(path.stem for path in (GITHUB / "views").glob("*.sql"))
    assert contracts == ["github_events"]
    assert min(hours) > 1000
    assert (empty / "build/demo/seamline.toml").read_bytes() == (GITHUB / "seamline.toml").read_bytes()
