"""JSON Schemas for editors: they accept what Seamline accepts, and find what is wrong at the key where it does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match

from seamline.cli.main import execute
from seamline.cli.schema import SchemaOf
from seamline.config import load_settings
from seamline.errors import UserError
from seamline.operate.editorschemas import SCHEMAS
from seamline.operate.template import make_project
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.contracts.yamlmarks import Marks
from seamline.schemas.views.properties import PROPERTIES
from seamline.schemas.views.text import parse_views

ROOT = Path(__file__).parents[2]
VALIDATORS = {name: Draft7Validator(make()) for name, make in SCHEMAS.items()}
CONTRACTS = sorted(ROOT.glob("examples/*/contracts/*.yaml"))
SETTINGS = sorted(ROOT.glob("examples/*/seamline.toml"))
ORDERS = (ROOT / "examples/orders/contracts/orders.yaml").read_text()


def found(schema: str, instance: Any) -> tuple[str | int, ...] | None:
    """Where a validator finds something wrong, up to the key; None where it finds nothing."""
    error = best_match(VALIDATORS[schema].iter_errors(instance))
    return None if error is None else (*error.absolute_path, *_key(error))


def _key(error: ValidationError) -> Iterator[str]:
    """The key that is one too many, which a validator says of what is around it."""
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        yield next(key for key in error.instance if key not in known)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_is_a_schema_that_the_command_prints(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Draft7Validator.check_schema(SCHEMAS[name]())
    assert execute(["schema", name]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS[name]()
    assert {*SchemaOf} == set(SCHEMAS)


@pytest.mark.parametrize("path", [*CONTRACTS, *SETTINGS], ids=lambda path: f"{path.parts[-3]}-{path.name}")
def test_every_example_is_valid(path: Path) -> None:
    if path.suffix == ".toml":
        assert found("settings", tomllib.loads(path.read_text())) is None
    else:
        assert found("contract", yaml.safe_load(path.read_text())) is None


WRONG_CONTRACTS = {
    "a key that ODCS has not": ("status: active", "status: active\nowners: me"),
    "another kind": ("kind: DataContract", "kind: DataProduct"),
    "another version of ODCS": ("apiVersion: v3.1.0", "apiVersion: v2.2.0"),
    "no version": ("version: 1.0.0\n", ""),
    "an empty id": ("id: shop-orders", 'id: ""'),
    "a field's key": ("required: true", "requird: true"),
    "a field's type": ("logicalType: timestamp", "logicalType: datetime"),
    "a value of another type": ("required: true", "required: sometimes"),
    "an option": ("logicalType: timestamp", "logicalType: timestamp\n        logicalTypeOptions: {minimun: 1}"),
    "a property of Seamline": ("seamline.eventTime", "seamline.eventTyme"),
    "a topic's name": ("customProperties:", "customProperties:\n  - {property: seamline.topic, value: a topic}"),
    "a name that is none in SQL": ("  - name: orders", "  - name: my-orders"),
}


@pytest.mark.parametrize("wrong", WRONG_CONTRACTS)
def test_a_wrong_contract_is_found_at_the_line_where_seamline_finds_it(wrong: str) -> None:
    old, new = WRONG_CONTRACTS[wrong]
    assert old in ORDERS
    text = ORDERS.replace(old, new, 1)
    with pytest.raises(UserError) as refused:
        parse_contract(text, "orders.yaml")
    at = found("contract", yaml.safe_load(text))
    assert at is not None
    assert _line(Marks(text, "orders.yaml").error(at, "").where) == _line(refused.value.where)


WRONG_SETTINGS = {
    "speed.tigger_ms": "[speed]\ntigger_ms = 1",
    "sped": "[sped]\ntrigger_ms = 1",
    "speed.trigger_ms": "[speed]\ntrigger_ms = -1",
    "kafka.partitions": '[kafka]\npartitions = "many"',
    "batch.reservation_minutes": "[batch]\nreservation_minutes = 721",
    "kafka.options.acks": "[kafka]\noptions = {acks = 1}",
    "serving.hosts": '[serving]\nhosts = "here"',
}


@pytest.mark.parametrize("key", WRONG_SETTINGS)
def test_a_wrong_setting_is_found_at_the_key_that_seamline_names(key: str, tmp_path: Path) -> None:
    (tmp_path / "seamline.toml").write_text(WRONG_SETTINGS[key])
    with pytest.raises(UserError) as refused:
        load_settings(tmp_path)
    assert key in refused.value.message.split()
    assert found("settings", tomllib.loads(WRONG_SETTINGS[key])) == tuple(key.split("."))


VALUES = ["7 days", "1 hour", "0 days", "5 versions", "day", "hour", "month", "money, daily", " 7 days ", "", "día, 2"]


def test_a_property_is_found_wrong_only_where_seamline_refuses_it() -> None:
    told = 0
    for name in PROPERTIES:
        for value in VALUES:
            text = f"CREATE MATERIALIZED VIEW v TBLPROPERTIES ('{name}' = '{value}') AS SELECT 1 AS n FROM orders"
            try:
                parse_views(text, "v.sql")
                refused = False
            except UserError:
                refused = True
            wrong = found("properties", {name: value})
            assert wrong is None or (refused and wrong == (name,)), (name, value)
            told += wrong is not None
    assert told > 10
    assert found("properties", {"ownr": "me"}) == ("ownr",)


def test_a_new_project_names_its_schemas_and_holds_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(tmp_path)
    for file, mark in (("seamline.toml", "#:schema "), ("contracts/orders.yaml", "# yaml-language-server: $schema=")):
        path = tmp_path / file
        first = path.read_text().splitlines()[0]
        assert first.startswith(mark)
        named = (path.parent / first.removeprefix(mark)).resolve()
        assert named.parent == tmp_path / ".schemas"
        assert json.loads(named.read_text()) == SCHEMAS[named.stem]()
    assert found("contract", yaml.safe_load((tmp_path / "contracts/orders.yaml").read_text())) is None
    every = re.sub(r"(?m)^# (\w+ = )", r"\1", (tmp_path / "seamline.toml").read_text())
    assert "trigger_ms" in str(tomllib.loads(every))
    assert found("settings", tomllib.loads(every)) is None

    (tmp_path / ".schemas/contract.json").write_text("{}")
    assert execute(["schema", "--project", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {tmp_path / '.schemas/contract.json'}"]
    assert execute(["schema", "--project", str(tmp_path)]) == 0
    assert "all are as they should be" in capsys.readouterr().out


def _line(where: str) -> str:
    return where.split(":")[1]
