"""Two wheels of one tree: each is whole, they share no file, and serving alone runs without Spark, Kafka and Delta."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from datetime import timedelta
from email.parser import Parser
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import httpx
import pytest
from lakes import DAY, Bench, order, orders, project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT
from waiting import wait_until
from wheels import PARTS, copied, declared, environment, wheels

import seamline

GITHUB = ROOT / "examples/github"
LEFT_OUT = {"pyspark", "delta", "kafka", "deltalake", "pandas"}

NOT_IMPORTED = {
    "seamline": {
        "seamline-serve",
        "pandas",  # PySpark's ways between Arrow and Python
        "delta-spark",  # its jar's version is this one's
    },
    "seamline-serve": {
        "tzdata",  # zones, where the machine has none
        "uvloop",  # this and the next: uvicorn imports them by name
        "httptools",
    },
}
"""What a distribution declares and imports nothing of."""

BY_EXTRA = {"seamline.client.dialect": "sqlalchemy"}
"""A module that is imported where its extra is installed, and the package that the extra brings."""

NOT_BY_ITSELF = {"seamline.__main__", *BY_EXTRA}
"""Modules whose imports are not needed by whoever imports the others; the first asks which command is installed."""

PART_OF = {"starlette": "fastapi", "pydantic_core": "pydantic", "py4j": "pyspark"}
"""What is imported as a part of another package, which requires the release that suits it."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    sources = copied(tmp_path_factory.mktemp("sources"))
    folders = [sources / folder.relative_to(ROOT) for folder in PARTS.values()]
    return wheels(tmp_path_factory.mktemp("wheels"), *folders)


def names(wheel: Path) -> list[str]:
    """The files that it installs, but for its own metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if ".dist-info/" not in name)


def required(wheel: Path) -> list[Requirement]:
    """What it declares to need, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = Parser().parsestr(archive.read(name).decode())
    found = map(Requirement, said.get_all("Requires-Dist", []))
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def test_the_wheels_share_no_file_and_hold_all_there_is(built: dict[str, Path]) -> None:
    tree = {
        str((Path(folder) / file).relative_to(ROOT / "src"))
        for folder, _, files in os.walk(ROOT / "src/seamline", followlinks=True)
        for file in files
        if not {"__pycache__", ".seamline", "lake"} & {*Path(folder).parts}
    }
    assert sorted([*names(built["seamline"]), *names(built["seamline-serve"])]) == sorted(tree)


def test_a_source_distribution_makes_the_same_wheel(built: dict[str, Path], tmp_path: Path) -> None:
    sources = copied(tmp_path / "sources")
    for folder in PARTS.values():
        build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path / "sdists")]
        subprocess.run([*build, sources / folder.relative_to(ROOT)], check=True, capture_output=True, text=True)
    again = wheels(tmp_path / "again", *(tmp_path / "sdists").glob("*.tar.gz"))
    assert again.keys() == built.keys() == PARTS.keys()
    for name, wheel in again.items():
        assert names(wheel) == names(built[name])


def test_both_have_one_version_and_one_needs_the_other_of_it() -> None:
    whole, serve = (tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in PARTS.values())
    assert whole["version"] == serve["version"] == seamline.__version__
    assert f"seamline-serve=={seamline.__version__}" in whole["dependencies"]
    shared = {Requirement(one).name: one for one in serve["dependencies"]}
    for one in whole["dependencies"]:
        assert shared.get(Requirement(one).name, one) == one, "a release that both name is the same"
    for key in ("requires-python", "license"):
        assert whole[key] == serve[key]


def imported(wheel: Path) -> set[str]:
    """Every module, and every name taken from one, that the files of a wheel import."""
    found: set[str] = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in names(wheel):
            if not name.endswith(".py") or name.removesuffix(".py").replace("/", ".") in NOT_BY_ITSELF:
                continue
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0
                    found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("part", PARTS)
def test_what_is_declared_is_what_is_imported(built: dict[str, Path], part: str) -> None:
    providers = packages_distributions()
    tops = {name.split(".")[0] for name in imported(built[part])} - {"seamline", *sys.stdlib_module_names}
    needed = {PART_OF.get(top) or canonicalize_name(providers[top][0]) for top in tops}
    assert needed | NOT_IMPORTED[part] == {one.name.lower() for one in required(built[part])}
    assert not needed & NOT_IMPORTED[part]
    for top, whole in PART_OF.items():
        assert top in {re.split(r"[^\w-]", one)[0].replace("-", "_") for one in requires(whole) or ()}


def test_what_an_extra_brings_is_imported_by_its_modules_alone() -> None:
    serve = tomllib.loads((PARTS["seamline-serve"] / "pyproject.toml").read_text())["project"]
    extras = {Requirement(one).name for name, more in serve["optional-dependencies"].items() for one in more
              if name not in ("build", "traces")}  # fmt: skip
    assert extras == set(BY_EXTRA.values())


def test_serving_imports_nothing_of_the_other_wheel(built: dict[str, Path]) -> None:
    others = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names(built["seamline"])}
    assert "seamline.jobs.steps" in others
    assert imported(built["seamline-serve"]) & others == set()


@pytest.fixture(scope="module")
def alone(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with serving alone."""
    wheel = built["seamline-serve"]
    return environment(tmp_path_factory.mktemp("alone") / "venv", wheel, declared(required(wheel)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A project whose served view rests on a batch version, and on an epoch after its cut."""
    bench = project(tmp_path_factory.mktemp("shop") / "shop", "[serving]\nport = 0\n")
    bench.send(*orders(40), b"{")
    bench.both()
    bench.batch.refresh("sales")
    bench.send(order("late", DAY + timedelta(hours=1), shop="c", amount=7), order("more", shop="a", amount=1000))
    bench.both()
    return bench


ASKED = "SELECT hour, shop, orders, amount, latest FROM sales ORDER BY ALL"
ANSWER = [  # JSON has sums of integers as texts: they are wider than its numbers
    ["2024-05-01T12:00:00Z", "a", 21, str(sum(range(0, 40, 2)) + 1000), "2024-05-01T12:00:00Z"],
    ["2024-05-01T12:00:00Z", "b", 20, str(sum(range(1, 40, 2))), "2024-05-01T12:00:00Z"],
    ["2024-05-01T13:00:00Z", "c", 1, "7", "2024-05-01T13:00:00Z"],
]


def ran(command: list[Any], folder: Path) -> str:
    """What it wrote to stdout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_serving_alone_has_no_spark_kafka_or_delta_and_imports_whole(alone: Path, tmp_path: Path) -> None:
    script = (
        "import importlib, json, pkgutil, seamline; from importlib.util import find_spec\n"
        "found = [one.name for one in pkgutil.walk_packages(seamline.__path__, 'seamline.')]\n"
        f"for name in set(found) - {set(BY_EXTRA)}: importlib.import_module(name)\n"
        f"print(json.dumps([seamline.__file__, found, [name for name in {sorted(LEFT_OUT)} if find_spec(name)]]))"
    )
    file, found, there = json.loads(ran([alone / "python", "-c", script], tmp_path))
    assert Path(file).is_relative_to(alone.parent)
    assert {"seamline.serving.http.app", "seamline.__main__"} < set(found)
    assert there == []


@pytest.mark.parametrize("command", [["seamline-serve"], ["python", "-m", "seamline"]], ids=" ".join)
def test_serving_alone_answers_a_query(alone: Path, shop: Bench, tmp_path: Path, command: list[str]) -> None:
    asked = [alone / command[0], *command[1:], "query", ASKED, "--project", shop.folder.parent, "--format", "json"]
    said = json.loads(ran([*asked, "--provenance"], tmp_path))
    assert [[*row.values()] for row in said["rows"]] == ANSWER
    assert said["provenance"]["sales"]["version"] == shop.served[1]


def test_serving_alone_answers_over_http(alone: Path, shop: Bench) -> None:
    folder = shop.folder.parent
    address = folder / ".seamline/serving.json"
    command = [alone / "seamline-serve", "run", "--project", folder]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: address.exists() or process.poll() is not None, 30, "the address is written")
        url = json.loads(address.read_text())["url"]
        wait_until(lambda: httpx.get(f"{url}/healthz").status_code == 200, 30, "the snapshot is loaded")
        said = httpx.post(f"{url}/v1/query", json={"sql": ASKED}).json()
    finally:
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=20)
    assert said["rows"] == ANSWER
    assert process.returncode == 0
    events = [json.loads(line) for line in logged.splitlines()]
    first, nobody, last = (event["event"] for event in events)
    assert (first, last) == (f"serving starts, project {folder}", "serving ended")
    assert nobody.startswith("no token was made")
    assert {event["role"] for event in events} == {"serving"}


def test_the_wheel_holds_the_demonstrations_example_once_as_it_stands(built: dict[str, Path]) -> None:
    shipped = [path for path in GITHUB.rglob("*") if path.is_file() and not {".seamline", "lake"} & {*path.parts}]
    with zipfile.ZipFile(built["seamline"]) as archive:
        for path in shipped:
            assert archive.read(f"seamline/demo/github/{path.relative_to(GITHUB)}") == path.read_bytes()
        assert sum(name.endswith(".jsonl.gz") for name in archive.namelist()) == 2


def test_what_is_installed_makes_the_demonstrations_project_in_an_empty_folder(
    built: dict[str, Path], tmp_path: Path
) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    for wheel in built.values():
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
