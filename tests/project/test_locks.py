"""What is installed is what was tested: one lock for every supported Python, with a hash for each file."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT
from wheels import PARTS

import seamline

WHOLE, SERVE = (tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in PARTS.values())
PYTHONS = [kind.rpartition(" ")[2] for kind in WHOLE["classifiers"] if "Python :: 3." in kind]
ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+)[^\n]*((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+)$", re.M)


def locked(name: str) -> dict[str, str]:
    return {package: version for package, version, _ in ENTRY.findall((ROOT / "locks" / name).read_text())}


@pytest.mark.parametrize(
    ("lock", "projects", "extras"),
    [
        ("run.txt", [WHOLE, SERVE], ["build"]),
        ("dev.txt", [WHOLE, SERVE], ["build", "dev"]),
        ("serve.txt", [SERVE], ["build"]),
    ],
)
def test_a_lock_holds_an_allowed_release_of_all_that_is_required(
    lock: str, projects: list[dict[str, Any]], extras: list[str]
) -> None:
    lists = [project["dependencies"] for project in projects]
    lists += [project["optional-dependencies"].get(extra, []) for project in projects for extra in extras]
    found = locked(lock)
    for requirement in (Requirement(one) for listed in lists for one in listed):
        if requirement.name in PARTS:  # no index has it: it stands here
            continue
        version = found[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} locked at {version}"


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt", "serve.txt", "airflow.txt"])
def test_every_line_of_a_lock_is_a_release_with_its_hashes_and_names_no_host(lock: str) -> None:
    text = (ROOT / "locks" / lock).read_text()
    assert ENTRY.sub("", text).strip() == ""
    assert not re.search(r"://|--index|--find-links|--trusted", text)


def test_what_runs_is_what_was_tested() -> None:
    assert locked("serve.txt").items() < locked("run.txt").items() < locked("dev.txt").items()


@pytest.mark.parametrize("version", PYTHONS)
def test_a_lock_holds_one_release_of_each_package_whatever_the_python(version: str) -> None:
    names = [name for name, _, _ in ENTRY.findall((ROOT / "locks/dev.txt").read_text())]
    assert sorted(set(names)) == names
    assert version in (ROOT / ".ci/run").read_text(), "CI runs a tier of tests on it"


def test_every_module_imports() -> None:
    for module in pkgutil.walk_packages(seamline.__path__, "seamline."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_a_python_that_is_not_to_be_had_is_named(tmp_path: Path) -> None:
    """A shim on PATH that answers 'command not found' is none; nor is there anything below an empty home."""
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho command not found >&2\nexit 127\n")
    shim.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run([ROOT / ".ci/python", "3.99"], env=path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Python 3.99 is not to be had" in ran.stderr


def test_a_python_is_found_behind_a_shim_that_does_not_run(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for folder, text in ((tmp_path / "shims", "exit 127"), (tmp_path / "real", f'exec {sys.executable} "$@"')):
        folder.mkdir()
        (folder / f"python{version}").write_text(f"#!/bin/sh\n{text}\n")
        (folder / f"python{version}").chmod(0o755)
    path = {"PATH": f"{tmp_path}/shims:{tmp_path}/real:/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run([ROOT / ".ci/python", version], env=path, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == f"{tmp_path}/real/python{version}"
