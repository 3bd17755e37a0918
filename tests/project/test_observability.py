"""What is made of the table of metrics is what the table makes, and nothing names a metric that is not in it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from places import ROOT

from seamline.observe.metrics import METRICS

HERE = ROOT / "deploy/observability"
NAMED = re.compile(r"\bseamline_[a-z_]+")
SUFFIXES = ("_bucket", "_count", "_sum")


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("observability_write", HERE / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITTEN: dict[Path, str] = loaded().written()


def unknown(text: str) -> set[str]:
    """Names of metrics in a text that the table does not have."""
    known = {*METRICS, *(name + end for name, one in METRICS.items() if one.kind == "histogram" for end in SUFFIXES)}
    return {name for name in NAMED.findall(text) if name not in known}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_what_is_made_of_the_table_stands_as_it_is_made(path: Path) -> None:
    assert path.read_text() == WRITTEN[path], f"run deploy/observability/write.py after a change: {path}"


def test_every_metric_is_drawn_and_no_dashboard_names_another() -> None:
    drawn = set()
    for file in (HERE / "dashboards").glob("*.json"):
        panels = json.loads(file.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            (target,) = panel["targets"]
            assert unknown(target["expr"]) == set()
            drawn |= set(NAMED.findall(target["expr"]))
    assert {re.sub(r"_(bucket|count)$", "", name) for name in drawn} == {*METRICS}


RULES = sorted((HERE / "rules").glob("*.yml"))
TESTS = sorted((HERE / "tests").glob("*.yml"))


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def test_rules_name_metrics_and_labels_that_there_are() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        expression = rule["expr"]
        named = set(re.findall(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+\b", expression))
        assert named <= recorded, f"{named - recorded} is not recorded"
        metrics = set(NAMED.findall(re.sub(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+\b", "", expression)))
        assert {name for name in metrics if unknown(name)} == set(), rule
        for name, matchers in re.findall(r"\b(seamline_[a-z_]+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers))
            base = re.sub(r"_(bucket|count|sum)$", "", name) if name not in METRICS else name
            assert labels <= {*METRICS[base].labels}, rule


def test_every_alert_is_tried_on_series_that_call_for_it() -> None:
    tried = {
        case["alertname"]
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }
    assert tried == {rule["alert"] for rule in rules() if "alert" in rule}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_documents_name_metrics_that_there_are(page: Path) -> None:
    said = re.findall(r"`(seamline_[a-z_]+)`", page.read_text())
    assert {name for name in said if unknown(name)} == set()
