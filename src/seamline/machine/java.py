"""Finds the Java that Spark and the embedded broker run on: version 17 or 21, with the module Spark needs."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seamline.errors import Condition, UserError

ALLOWED = (17, 21)
log = logging.getLogger(__name__)

SPARKS_MODULE = "jdk.incubator.vector"
"""Spark adds it on its JVM's command line; a cut-down runtime without it cannot start Spark."""

WELL_KNOWN = (
    "/usr/lib/jvm/*",
    "/opt/homebrew/opt/openjdk@*",
    "/usr/local/opt/openjdk@*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
)
"""Where packages put a Java without putting it on PATH (Homebrew's never is)."""


@dataclass(frozen=True)
class Java:
    """One usable Java: `home/bin/java` is `binary`."""

    home: Path

    version: int
    """The feature release, 17 or 21."""

    @property
    def binary(self) -> Path:
        """The `java` command."""
        return self.home / "bin" / "java"


def parse_version(text: str) -> int | None:
    """The feature release in what `java -version` printed (8 for "1.8.0_392"); None where there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def install_command(platform: str, tools: Iterable[str]) -> str:
    """The command that installs a fitting Java on `platform` (as sys.platform) with one of the `tools` there."""
    if platform == "darwin":
        return "brew install openjdk@21"
    known = {
        "apt-get": "sudo apt-get update && sudo apt-get install -y openjdk-17-jdk-headless",
        "dnf": "sudo dnf install -y java-21-openjdk-headless",
        "zypper": "sudo zypper install -y java-21-openjdk-headless",
        "pacman": "sudo pacman -S --noconfirm jdk21-openjdk",
        "apk": "sudo apk add openjdk21-jre",
    }
    return next((known[tool] for tool in tools if tool in known), "install a JDK 21 from https://adoptium.net")


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """The first fitting Java of JAVA_HOME, PATH and the usual folders.

    Raises UserError JAVA_MISSING with what was found instead and the command that installs one.
    """
    env = os.environ if environ is None else environ
    return _find(env.get("JAVA_HOME", ""), env.get("PATH", ""))


@cache
def _find(java_home: str, path: str) -> Java:
    refused: list[str] = []
    for home in _homes(java_home, path):
        version, fault = _examine(home / "bin" / "java")
        if version is not None and not fault:
            _say_passed_over(java_home, home, refused)
            return Java(home, version)
        refused.append(f"{home} ({fault})")
    tools = [tool for tool in ("apt-get", "dnf", "zypper", "pacman", "apk") if shutil.which(tool)]
    raise UserError(
        Condition.JAVA_MISSING,
        f"no Java 17 or 21 was found{'; refused: ' + ', '.join(refused) if refused else ''}",
        detail="Java 17 or 21 in JAVA_HOME or on PATH",
        hint=install_command(sys.platform, tools),
    )


def _say_passed_over(java_home: str, used: Path, refused: list[str]) -> None:
    """Whoever set JAVA_HOME means it: where another Java is used, this is said, and why."""
    if java_home and Path(java_home).resolve() != used.resolve():
        why = next((one for one in refused if one.startswith(java_home)), f"{java_home} (holds no bin/java)")
        log.warning("JAVA_HOME is passed over: %s; %s is used", why, used)


def _homes(java_home: str, path: str) -> Iterable[Path]:
    """Candidates in order, each once."""
    seen: set[Path] = set()
    candidates = [Path(java_home)] if java_home else []
    on_path = shutil.which("java", path=path) if path else None
    if on_path:
        candidates.append(Path(on_path).resolve().parent.parent)
    for pattern in WELL_KNOWN:
        candidates += sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)
    for home in candidates:
        if home.resolve() not in seen and (home / "bin" / "java").is_file():
            seen.add(home.resolve())
            yield home


def _examine(binary: Path) -> tuple[int | None, str]:
    """(version, fault): fault is empty where this Java will do. One start of Java where it does."""
    code, text = _ask(binary, f"--add-modules={SPARKS_MODULE}", "-version")
    version = parse_version(text)
    if code != 0:  # an old Java refuses the option, a cut-down one the module: ask again without it
        code, plain = _ask(binary, "-version")
        version = parse_version(plain)
    if code != 0 or version is None:
        return None, "does not start"
    if version not in ALLOWED:
        return version, f"version {version}"
    return version, "" if parse_version(text) else f"version {version}, lacks the module {SPARKS_MODULE}"


def _ask(binary: Path, *arguments: str) -> tuple[int, str]:
    try:
        done = subprocess.run([str(binary), *arguments], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stderr + done.stdout


if __name__ == "__main__":
    try:
        print(find_java().binary)
    except UserError as error:
        sys.exit(str(error))
