"""What makes another definition of a view, and what does not: two that answer alike are one, whatever records come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract_changes import CASES, CONTRACT, VIEWS, Case
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from seamline.clock import ManualClock
from seamline.entries.views import DefinitionRecord
from seamline.errors import UserError
from seamline.kernel import kernel
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue, compile_record
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.states import Applied, apply_views, drop_view
from seamline.schemas.views.alike import alike, fields_read
from seamline.schemas.views.project_views import compile_all
from seamline.schemas.views.text import parse_views

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = {view.name: view for view in parse_views(VIEWS, "views.sql")}
BEFORE = parse_contract(CONTRACT, "orders.yaml")
SAME = [case for case in CASES if case.needs == "nothing"]


def compiled(contract: Contract) -> Mapping[str, Any]:
    return compile_all(TEXTS, {"orders": contract})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path), MemoryStore())


def apply(lake: Lake, text: str, *views: str) -> dict[str, Applied]:
    wanted = {name: TEXTS[name] for name in views or TEXTS}
    found = apply_views(lake, wanted, {"orders": parse_contract(text, "orders.yaml")}, ManualClock(NOW))
    return {applied.view: applied for applied in found}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_change_of_a_contract_makes_another_definition_where_a_row_can_differ(case: Case) -> None:
    now = parse_contract(case.text, "orders.yaml")
    old = compiled(BEFORE)
    for name in TEXTS:
        try:
            new = compile_all({view: TEXTS[view] for view in ("shops", name)}, {"orders": now})[name]
        except UserError:
            assert case.of(name) == "another text"
        else:
            assert alike(old[name], new) == (case.of(name) == "nothing"), name
            assert alike(new, old[name]) == alike(old[name], new)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from(["", "a", "b", "2026-01-01T00:00:00Z", 1.5, 1e9]),
    st.lists(st.integers(0, 1), max_size=1), st.dictionaries(st.sampled_from("wh"), st.integers(0, 1) | st.just("x")),
)  # fmt: skip
KEYS = ("id", "placed", "sent", "shop", "amount", "note", "kind", "weight", "box")
RECORDS = st.builds(
    lambda least, more: json.dumps({**least, **more}).encode(),
    st.fixed_dictionaries({"placed": st.just("2026-01-01T00:00:00Z")}),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
)


def decoded(contract: Contract, values: list[bytes]) -> pa.Table:
    count = len(values)
    table = pa.table(
        {
            "source": ["t@1"] * count,
            "partition": pa.array([0] * count, pa.int32()),
            "offset": pa.array(range(count), pa.int64()),
            "timestamp": pa.array([NOW] * count, pa.timestamp("us", "UTC")),
            "key": pa.array([b""] * count, pa.binary()),
            "value": pa.array(values, pa.binary()),
        }
    )
    return kernel().run(decode_statement(contract), {"records": table}).sort_by("_offset")


@given(values=st.lists(RECORDS, min_size=1, max_size=40))
def test_what_makes_no_other_definition_judges_and_reads_every_record_alike(values: list[bytes]) -> None:
    before = decoded(BEFORE, values)
    for case in SAME:
        now = parse_contract(case.text, "orders.yaml")
        after = decoded(now, values)
        assert [r is None for r in after["_reject"].to_pylist()] == [r is None for r in before["_reject"].to_pylist()]
        for name in ("shops", "amounts"):
            if case.of(name) == "nothing":
                read = [field.name for field in fields_read(compiled(BEFORE)[name].definition, BEFORE)]
                columns = [*read, "_event_date", "_id_hi", "_id_lo"]
                assert after.select(columns) == before.select(columns), case.what


def test_what_is_read_is_what_statements_name_and_what_makes_the_event() -> None:
    found = {name: [f.name for f in fields_read(one.definition, BEFORE)] for name, one in compiled(BEFORE).items()}
    assert found == {
        "shops": ["id", "placed", "shop"], "amounts": ["amount", "id", "placed"], "monthly": ["id", "placed", "shop"]
    }  # fmt: skip


ALIKE = next(case for case in SAME if case.what == "another name for the same key").text


def test_texts_that_answer_alike_are_taken_over_by_the_definition_that_stands(lake: Lake) -> None:
    first = apply(lake, CONTRACT)
    again = apply(lake, ALIKE)
    assert {name: (one.definition, one.change) for name, one in again.items()} == {
        name: (one.definition, "described") for name, one in first.items()
    }
    assert {one.change for one in apply(lake, ALIKE).values()} == {"unchanged"}
    catalogue = Catalogue(lake)
    for name, one in first.items():
        (contract,) = catalogue.contracts(one.definition)
        assert (contract.field("remark").key, contract.earlier) == ("note", (BEFORE.decoding,))
        assert catalogue.states[name].live == (one.definition,)
    assert catalogue.definition(first["monthly"].definition).bases[0].hash == first["shops"].definition
    assert {one.hash for one in catalogue.live()} == {one.definition for one in first.values()}


def test_the_text_of_before_is_taken_over_as_well_and_both_decodings_stand(lake: Lake) -> None:
    first = apply(lake, CONTRACT)
    apply(lake, ALIKE)
    back = apply(lake, CONTRACT)
    assert {one.change for one in back.values()} == {"described"}
    (contract,) = Catalogue(lake).contracts(first["shops"].definition)
    assert contract.decoding == BEFORE.decoding
    assert contract.earlier == (parse_contract(ALIKE, "").decoding,)
    (record,) = Catalogue(lake).states["shops"].definitions
    assert record.names == {}


def test_a_view_that_was_dropped_comes_back_as_what_it_was(lake: Lake) -> None:
    first = apply(lake, CONTRACT, "shops")
    drop_view(lake, "shops", ManualClock(NOW))
    back = apply(lake, ALIKE, "shops")["shops"]
    assert (back.definition, back.change) == (first["shops"].definition, "returned")
    assert Catalogue(lake).definition(back.definition).hash == back.definition


def test_a_definition_that_this_release_calls_otherwise_is_not_gone_on_with(lake: Lake) -> None:
    apply(lake, CONTRACT, "shops")
    (record,) = Catalogue(lake).states["shops"].definitions
    older = record.model_copy(update={"definition": "0" * 16})
    state = (
        Catalogue(lake)
        .states["shops"]
        .model_copy(
            update={"definitions": (older,), "live": (older.definition,), "served": older.definition, "attempt": "a"}
        )
    )
    lake.view_log("shops").put(2, state)
    assert compile_record(older).definition.hash == record.definition
    assert apply(lake, ALIKE, "shops")["shops"].change == "changed"


def test_a_record_of_before_is_read_as_it_was_written() -> None:
    one = compiled(BEFORE)["shops"].definition
    older = DefinitionRecord.model_validate(
        {"definition": one.hash, "sql": one.text, "contracts": {"orders": CONTRACT}}
    )
    found = compile_record(older)
    assert (found.definition.hash, found.contracts[0].earlier) == (one.hash, ())


def test_a_view_derived_from_one_that_has_gone_on_names_it_as_it_is_called(lake: Lake) -> None:
    first = apply(lake, CONTRACT, "shops")
    apply(lake, ALIKE, "shops", "monthly")
    catalogue = Catalogue(lake)
    (monthly,) = (one for one in catalogue.live() if one.view == "monthly")
    assert monthly.bases[0].hash == first["shops"].definition
    assert apply(lake, ALIKE, "shops", "monthly")["monthly"].change == "unchanged"
