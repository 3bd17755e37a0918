"""Finding Java: one clear sentence where there is none that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamline.errors import Condition, UserError
from seamline.machine.java import find_java, install_command, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('java version "21" 2023-09-19 LTS', 21),
        ('java version "1.8.0_392"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019', 11),
        ('openjdk version "24-ea" 2025-03-18', 24),
        ("sh: java: not found", None),
        ("", None),
    ],
)
def test_a_version_is_read_from_what_java_prints(text: str, version: int | None) -> None:
    assert parse_version(text) == version


def fake_java(home: Path, script: str) -> Path:
    binary = home / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    return home


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    first = fake_java(tmp_path / "a", "echo 'openjdk version \"21.0.1\"' >&2")
    second = fake_java(tmp_path / "b", "echo 'openjdk version \"17.0.1\"' >&2")
    found = find_java({"JAVA_HOME": str(first), "PATH": str(second / "bin")})
    assert (found.home, found.version, found.binary) == (first, 21, first / "bin" / "java")


def test_a_java_home_that_does_not_fit_gives_way_to_the_path_and_this_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = fake_java(tmp_path / "old", "echo 'openjdk version \"11.0.2\"' >&2")
    good = fake_java(tmp_path / "good", "echo 'openjdk version \"17.0.1\"' >&2")
    assert find_java({"JAVA_HOME": str(old), "PATH": str(good / "bin")}).home == good
    assert caplog.messages == [f"JAVA_HOME is passed over: {old} (version 11); {good} is used"]
    caplog.clear()
    assert find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(good / "bin")}).home == good
    assert caplog.messages == [f"JAVA_HOME is passed over: {tmp_path}/gone (holds no bin/java); {good} is used"]
    caplog.clear()
    assert find_java({"JAVA_HOME": str(good), "PATH": ""}).home == good
    assert not caplog.messages


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("case $1 in --add*) echo 'Unrecognized option' >&2; exit 1;; esac; echo 'java version \"1.8.0_1\"' >&2", "8"),
        ("echo 'openjdk version \"24\"' >&2", "version 24"),
        ("case $1 in --add*) exit 1;; esac; echo 'openjdk version \"17\"' >&2", "lacks the module"),
        ("exit 3", "does not start"),
    ],
)
def test_what_was_refused_and_how_to_install_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    monkeypatch.setattr("seamline.machine.java.WELL_KNOWN", ())
    with pytest.raises(UserError) as caught:
        find_java({"JAVA_HOME": str(fake_java(tmp_path / "java", script)), "PATH": str(tmp_path)})
    assert caught.value.condition is Condition.JAVA_MISSING
    assert reason in caught.value.message
    assert caught.value.hint


def test_without_any_java_the_mend_installs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamline.machine.java.WELL_KNOWN", ())
    with pytest.raises(UserError, match="no Java 17 or 21 was found"):
        find_java({"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("platform", "tools", "words"),
    [
        ("linux", ["apt-get"], "apt-get install"),
        ("linux", ["dnf"], "dnf install"),
        ("darwin", [], "brew install"),
        ("win32", [], "adoptium"),
    ],
)
def test_the_command_fits_the_platform(platform: str, tools: list[str], words: str) -> None:
    assert words in install_command(platform, tools)
