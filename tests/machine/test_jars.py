"""Jars: exactly the pinned ones, or a message that names the wrong one."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from seamline.errors import Condition, TerminalError, TransientError
from seamline.machine import ivy, jars
from seamline.machine.jars import Pin, ensure_jars, faults, parse_pins, pinned

CONTENT = {"spark/a-1.jar": b"a", "kafka/b-2.jar": b"b"}
PINS = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in CONTENT.items())


def test_every_jar_of_ivy_xml_is_pinned() -> None:
    pinned = [pin.name for pin in parse_pins(files("seamline.machine").joinpath("jars.sha256").read_text())]
    text = files("seamline.machine").joinpath("ivy.xml").read_text()
    named = re.findall(r'name="([^"]+)" rev="([^"]+)"\s+conf="(\w+)->', text)
    assert len(named) == 8
    for name, revision, folder in named:
        revisions = revision.strip("[]").split(",")
        assert all(f"{folder}/{name}-{one}.jar" in pinned for one in revisions)


A, B, C = "a" * 64, "b" * 64, "c" * 64


def test_a_pin_names_a_sum_or_is_none() -> None:
    assert parse_pins(f"# words\n\n{A}  spark/t-2.jar  spark/t-1.jar\n{B}  spark/t-1.jar\n") == (
        Pin("spark/t-2.jar", A, "spark/t-1.jar"),
        Pin("spark/t-1.jar", B),
    )
    with pytest.raises(ValueError, match="does not begin with a sha256"):
        parse_pins("-  spark/t-2.jar  spark/t-1.jar\n")


def test_either_of_two_alternatives_will_do_with_its_own_sum_but_not_neither() -> None:
    pins = (Pin("t-1.jar", A), Pin("t-2.jar", B, "t-1.jar"))
    assert faults(pins, {"t-1.jar": A}) == []
    assert faults(pins, {"t-2.jar": B}) == []
    assert faults(pins, {"t-2.jar": C}) == [f"t-2.jar has sha256 {C}, expected {B}"]
    assert faults(pins, {}) == ["t-1.jar is missing"]


def test_pinning_anew_keeps_what_an_alternative_stood_in_for() -> None:
    other = f"{A}  t-1.jar  t-2.jar\n"
    before = f"# words\n{A}  t-2.jar\n{B}  u-1.jar\n{other}"
    assert pinned(before, {"t-1.jar": A, "u-2.jar": C}) == f"# words\n{A}  t-2.jar\n{C}  u-2.jar\n{other}"
    assert pinned(before, {"t-2.jar": C, "u-1.jar": B}) == f"# words\n{C}  t-2.jar\n{B}  u-1.jar\n{other}"


def test_missing_changed_and_foreign_jars_are_each_named() -> None:
    said = faults((Pin("a.jar", "11"), Pin("b.jar", "22")), {"b.jar": "33", "c.jar": "44"})
    assert said == ["c.jar is not one of ours", "a.jar is missing", "b.jar has sha256 33, expected 22"]


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[int]]:
    """A home whose 'repository' serves CONTENT; the list counts downloads."""
    downloads: list[int] = []

    def resolve(_xml: Path, target: Path, _cache: Path, _total: int, watch: Callable[[str, int, int], None]) -> None:
        downloads.append(1)
        for name, body in CONTENT.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(body)
        watch("downloading", len(CONTENT), len(CONTENT))

    resources = {"ivy.xml": b"<ivy/>", "jars.sha256": PINS.encode()}
    monkeypatch.setattr(jars, "resolve", resolve)
    monkeypatch.setattr(jars, "_resource", resources.__getitem__)
    monkeypatch.setenv("SEAMLINE_HOME", str(tmp_path))
    return tmp_path, downloads


def test_jars_are_fetched_once(fetched: tuple[Path, list[int]]) -> None:
    home, downloads = fetched
    folder = ensure_jars()
    assert folder.parent == home / "jars"
    assert ensure_jars() == folder
    assert downloads == [1]


def test_a_jar_exchanged_later_is_found_though_it_keeps_its_size_and_time(fetched: tuple[Path, list[int]]) -> None:
    jar = ensure_jars() / "kafka" / "b-2.jar"
    before = jar.stat()
    jar.write_bytes(b"x")
    os.utime(jar, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert jar.stat().st_size == before.st_size
    with pytest.raises(TerminalError, match=r"kafka/b-2\.jar has sha256"):
        ensure_jars()


def test_a_jar_corrupted_later_is_named_with_both_sums_and_a_hint(fetched: tuple[Path, list[int]]) -> None:
    folder = ensure_jars()
    (folder / "kafka" / "b-2.jar").write_bytes(b"tampered")
    with pytest.raises(TerminalError) as caught:
        ensure_jars()
    assert caught.value.condition is Condition.JARS_INVALID
    assert "kafka/b-2.jar" in caught.value.message
    assert hashlib.sha256(b"tampered").hexdigest() in caught.value.message
    assert hashlib.sha256(b"b").hexdigest() in caught.value.message
    assert str(folder) in caught.value.hint


def test_a_download_that_does_not_match_leaves_nothing_behind(
    fetched: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTENT, "spark/a-1.jar", b"other")
    with pytest.raises(TerminalError, match=r"spark/a-1\.jar"):
        ensure_jars()
    assert [path.name for path in (fetched[0] / "jars").iterdir() if path.is_dir()] == []


def test_a_users_ivysettings_are_found_in_their_order(tmp_path: Path) -> None:
    usual = tmp_path / ".ivy2" / "ivysettings.xml"
    assert ivy.find_settings({}, tmp_path) is None
    usual.parent.mkdir()
    usual.touch()
    assert ivy.find_settings({}, tmp_path) == usual
    (tmp_path / "spark-defaults.conf").write_text("spark.master local\nspark.jars.ivySettings /etc/mirror.xml\n")
    spark_conf = {"SPARK_CONF_DIR": str(tmp_path)}
    assert ivy.find_settings(spark_conf, tmp_path) == Path("/etc/mirror.xml")
    assert ivy.find_settings({**spark_conf, "SEAMLINE_IVYSETTINGS": "/mine.xml"}, tmp_path) == Path("/mine.xml")


def test_a_proxy_reaches_java() -> None:
    assert ivy.proxy_options({"https_proxy": "http://proxy.example:3128"}) == [
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]


def test_a_repository_that_cannot_be_reached_is_transient_and_says_where_to_name_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "ivysettings.xml"
    settings.write_text(
        '<ivysettings><settings defaultResolver="r"/><resolvers>'
        '<ibiblio name="r" m2compatible="true" root="http://127.0.0.1:9/"/></resolvers></ivysettings>'
    )
    monkeypatch.setenv("SEAMLINE_IVYSETTINGS", str(settings))
    module = tmp_path / "ivy.xml"
    module.write_text(
        '<ivy-module version="2.0"><info organisation="t" module="t"/><configurations><conf name="spark"/>'
        '<conf name="kafka"/></configurations><dependencies>'
        '<dependency org="x" name="y" rev="1" conf="spark->master"/></dependencies></ivy-module>'
    )
    with pytest.raises(TransientError) as caught:
        ivy.resolve(module, tmp_path / "jars", tmp_path / "cache", 1, lambda *_: None)
    assert caught.value.condition is Condition.JARS_INVALID
    assert "x#y;1" in caught.value.message
    assert "ivysettings" in caught.value.hint
