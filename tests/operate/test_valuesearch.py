"""A look for a value through all that stands in a lake: in whatever form, of whatever kind an object is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from lakes import DAY, Bench, order
from lakes import project as bench_project
from pyarrow import parquet

from seamline.cli.main import execute
from seamline.operate.valuesearch import Held, where_held
from seamline.packs import carry, pack
from seamline.schemas.project import Project, load_project

NAME = "Zoë O'Hara"
INNOCENT = "Zoë O'Haras"


def as_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue())


def nested(name: str) -> pa.Table:
    """A sketch's samples: a list of structs, in a struct."""
    return pa.table({"state": [{"samples": [{"n": 1, "of": None}, {"n": 2, "of": name}]}]})


OBJECTS: dict[str, Callable[[str], bytes]] = {
    "a.parquet": lambda name: as_parquet(nested(name)),
    "b.parquet": lambda name: as_parquet(pa.table({"v": pa.array(["x", name]).dictionary_encode()})),
    "c.parquet": lambda name: as_parquet(pa.table({"v": [json.dumps({"shop": name, "n": 1}).encode()]})),
    "d.parquet": lambda name: as_parquet(pa.table({"v": pa.array([[("k", name)]], pa.map_(pa.string(), pa.string()))})),
    "e.parquet": lambda name: as_parquet(pa.table({"v": [1]}).replace_schema_metadata({"said": name})),
    "f.pack": lambda name: pack({"few": pa.table({"v": [1]}), "many": nested(name)}),
    "g.json": lambda name: json.dumps({"kind": "epoch", "data": carry(pack({"d": nested(name)}))}).encode(),
    "h.json": lambda name: json.dumps({"add": {"stats": json.dumps({"maxValues": {"shop": name}})}}).encode(),
    "i.json": lambda name: json.dumps({"largest": f"{name} became x"}, ensure_ascii=False).encode(),
    "j": lambda name: f"seen: {name}\n".encode(),
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_project(tmp_path / "project")


def held(bench: Bench, field: str, value: str) -> list[Held]:
    return where_held(of(bench), "orders", field, [value])


def of(bench: Bench) -> Project:
    return load_project(Path(bench.lake.uri).parent)


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_a_value_is_found_in_whatever_form_it_stands(bench: Bench, name: str) -> None:
    obstore.put(bench.lake.store, f"somewhere/{name}", OBJECTS[name](INNOCENT))
    assert held(bench, "shop", NAME) == []
    obstore.put(bench.lake.store, f"somewhere/{name}", OBJECTS[name](NAME))
    assert {one.path for one in held(bench, "shop", NAME)} == {f"somewhere/{name}"}


def test_a_number_is_found_in_its_own_column_and_under_its_own_key_alone(bench: Bench) -> None:
    columns = {"amount": [421], "other": [42], "_value": [b'{"other": 42, "amount": 421}']}
    obstore.put(bench.lake.store, "x/a.parquet", as_parquet(pa.table(columns)))
    assert held(bench, "amount", "42") == []
    for path, body in {
        "x/b.parquet": as_parquet(pa.table({**columns, "amount": [42]})),
        "x/c.parquet": as_parquet(pa.table({**columns, "_value": [b'{"amount" : "42"}']})),
        "x/d.json": json.dumps({"stats": json.dumps({"minValues": {"amount": 42}})}).encode(),
    }.items():
        obstore.put(bench.lake.store, path, body)
    assert {one.path for one in held(bench, "amount", "42")} == {"x/b.parquet", "x/c.parquet", "x/d.json"}


def test_raw_versions_epochs_and_logs_are_looked_through_and_the_command_ends_with_one(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.send(*(order(str(n), DAY, shop=("anna", "b")[n % 2]) for n in range(4)))
    bench.both()
    bench.batch.refresh("sales")
    logs = of(bench).state / "logs"
    logs.mkdir(parents=True)
    (logs / "serving.log.1").write_text('{"event": "query", "sql": "SELECT \'anna\'"}')
    words = ["forget", "check", "--contract", "orders", "--project", str(of(bench).folder), "--json", "--where"]
    assert execute([*words, "shop = 'anna'"]) == 1
    paths = [one["path"].split("/") for one in json.loads(capsys.readouterr().out)]
    found = {"logs" if "logs" in path else path[0] for path in paths}
    assert found == {"raw", "ledger", "batch", "logs"}
    assert execute([*words, "shop = 'nobody'"]) == 0
    assert json.loads(capsys.readouterr().out) == []
