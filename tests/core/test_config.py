"""Configuration: file and environment, refused keys with their line, and documents that cannot go stale."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from places import ROOT

from seamline.config import Pace, ServingSection, Settings, load_settings
from seamline.errors import Condition, UserError


def written(folder: Path, text: str) -> Path:
    (folder / "seamline.toml").write_text(text)
    return folder


def keys() -> Iterator[tuple[str, str, object, str]]:
    """(section, key, default, description) of every setting."""
    for section, field in Settings.model_fields.items():
        for key, inner in field.annotation.model_fields.items():  # type: ignore[union-attr]
            yield section, key, inner.default, inner.description or ""


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_KAFKA__BOOTSTRAP_SERVERS", "there:9092")
    monkeypatch.setenv("SEAMLINE_PROJECT", "/elsewhere")  # the command line's own, no setting
    settings = load_settings(written(tmp_path, '[kafka]\nbootstrap_servers = "here:9092"\npartitions = 7\n'))
    assert settings.kafka.bootstrap_servers == "there:9092"
    assert settings.kafka.partitions == 7


@pytest.mark.parametrize(
    ("text", "line", "got", "detail"),
    [
        ("[speed]\ntrigger_ms = 5\ntigger_ms = 7\n", 3, "speed.tigger_ms", "trigger_ms"),
        ("[sped]\n", 1, "sped", "speed"),
        ("\n[kernel]\nthreads = 0\n", 3, "kernel.threads", "greater than 0"),
        ('[serving]\nport = "many"\n', 2, "serving.port", "integer"),
        ("[batch]\nreservation_minutes = 721\n", 2, "batch.reservation_minutes", "less than or equal to 720"),
        ("[lake\nuri = 1\n", 1, "not TOML", "TOML"),
        ("[lake]\nuri = 'a'\nuri = 'b'\n", 3, "not TOML", "TOML"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, got: str, detail: str
) -> None:
    with pytest.raises(UserError) as refused:
        load_settings(written(tmp_path, text))
    assert refused.value.condition == Condition.CONFIG_INVALID
    assert refused.value.where.startswith(f"{tmp_path / 'seamline.toml'}:{line}")
    assert got in refused.value.message
    assert detail in refused.value.detail
    assert refused.value.hint


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_SPEED__MAX_RECORDS", "-1")
    with pytest.raises(UserError) as refused:
        load_settings(written(tmp_path, ""))
    assert "SEAMLINE_SPEED__MAX_RECORDS" in refused.value.where


def test_a_wrong_variable_is_named_though_the_file_has_a_right_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAMLINE_SPEED__MAX_RECORDS", "-1")
    with pytest.raises(UserError) as refused:
        load_settings(written(tmp_path, "[speed]\nmax_records = 7\n"))
    assert refused.value.where == "environment variable SEAMLINE_SPEED__MAX_RECORDS"


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("[kafka.options]\n'sasl.jaas.config' = 5_550_123\n", None),
        ("[kafka]\noptions = '5550123'\n", None),
        ("[spark.conf]\n'spark.hadoop.fs.s3a.secret.key' = [5_550_123]\n", None),
        ("[lake]\nuri = ['5550123']\n", None),
        ("", ("SEAMLINE_KAFKA__OPTIONS", "{'sasl.jaas.config': '5550123'}")),
        ("", ("SEAMLINE_KAFKA__OPTIONS", '{"sasl.jaas.config": [5550123]}')),
        ("", ("SEAMLINE_KAFKA", '{"options": "5550123"}')),
        ("", ("SEAMLINE_SERVING__PORT", "5550123")),
    ],
)
def test_a_value_that_does_not_fit_is_not_told_it_may_be_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variable: tuple[str, str] | None
) -> None:
    if variable:
        monkeypatch.setenv(*variable)
    with pytest.raises(UserError) as refused:
        load_settings(written(tmp_path, text))
    assert refused.value.condition == Condition.CONFIG_INVALID
    assert "5550123" not in str(refused.value).replace("_", "")
    assert "SEAMLINE_" in refused.value.where or not variable


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        load_settings(tmp_path)
    assert "seamline init" in refused.value.hint


def test_every_key_is_documented_with_its_default() -> None:
    documented = set(
        re.findall(r"^\| `(.+?)` \| `(.*?)` \| (.*) \|$", (ROOT / "docs/configuration.md").read_text(), re.M)
    )
    assert documented == {(f"{s}.{k}", json.dumps(default), about) for s, k, default, about in keys()}


def test_the_template_shows_every_key_with_its_default() -> None:
    template = (files("seamline.operate") / "templates" / "project" / "seamline.toml").read_text()
    assert tomllib.loads(template) == {section: {} for section in Settings.model_fields}
    head, rest = template.split("[kafka]", 1)
    assert head.startswith("#")
    shown = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", "[kafka]" + rest, flags=re.M))
    expected: dict[str, dict[str, object]] = {section: {} for section in Settings.model_fields}
    for section, key, default, _ in keys():
        expected[section][key] = default
    assert shown == expected


def test_an_object_store_is_looked_at_less_often_than_a_folder() -> None:
    serving = ServingSection(poll_ms=20, remote_poll_ms=400, sweep_seconds=3, remote_sweep_seconds=40)  # type: ignore[call-arg]
    assert serving.pace("/data/lake") == Pace(timedelta(milliseconds=20), timedelta(seconds=3))
    for uri in ("s3://bucket/lake", "gs://bucket/lake", "abfss://lake@account/lake"):
        assert serving.pace(uri) == Pace(timedelta(milliseconds=400), timedelta(seconds=40))
