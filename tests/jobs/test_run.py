"""The steps of a batch run, taken one by one: each may rest, be done again, or come too late, and no number moves."""

from __future__ import annotations

import ast
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import obstore
import pytest
from lakes import Bench, Counting, order, orders

import seamline.jobs
from seamline.entries.base import Counts
from seamline.errors import Condition, ConflictError, SeamlineError
from seamline.jobs.audit import audit
from seamline.jobs.compute import compute
from seamline.jobs.decide import decide
from seamline.jobs.plan import Nothing
from seamline.jobs.publish import publish, put
from seamline.jobs.reserve import reserve
from seamline.jobs.stages import Audited, Decided, Outcome, Recomputed, Reservation, Unpublished


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def decided(bench: Bench, *, rebuild: bool = False) -> Decided:
    """What there is to do, of which there is something."""
    decision = decide(bench.batch, "sales", rebuild=rebuild)
    assert isinstance(decision, Decided)
    return decision


def read_up_to(decision: Decided) -> list[int]:
    """The newest entry of each history that a decision was made from."""
    logs = decision.target.logs
    return [history.number for history in (decision.view, logs.speed, logs.archive, logs.batch)]


def through_audit(bench: Bench) -> Audited:
    """A run up to its audit."""
    return audit(bench.batch, compute(bench.batch, reserve(bench.batch, decided(bench))))


def whole_lake(bench: Bench) -> dict[str, bytes]:
    """Every object and every file of a lake."""
    stored = [item["path"] for page in obstore.list(bench.lake.store) for item in page]
    files = [path for path in bench.folder.rglob("*") if path.is_file()]
    return {
        **{f"ledger: {path}": bytes(obstore.get(bench.lake.store, path).bytes()) for path in stored},
        **{f"file: {path}": path.read_bytes() for path in files},
    }


@pytest.mark.parametrize("rebuild", [False, True])
def test_what_there_is_to_do_is_told_without_doing_it(bench: Bench, rebuild: bool) -> None:
    bench.send(*orders(8))
    bench.both()
    bench.batch.refresh("sales")
    bench.send(order("late", amount=7))
    bench.both()
    before = whole_lake(bench)
    plan = decided(bench, rebuild=rebuild).plan
    assert whole_lake(bench) == before
    dates = {day.isoformat() for of_table in (plan.dates or {}).values() for day in of_table}
    assert (plan.cut, plan.base, dates) == (bench.end, *((None, set()) if rebuild else (2, {"2024-05-01"})))
    assert bench.batch.refresh("sales").cut == plan.cut


def test_a_run_may_rest_after_any_step_while_the_stream_goes_on(bench: Bench) -> None:
    sent = list(orders(4))

    def meanwhile(name: str) -> None:
        sent.extend(orders(3, name))
        bench.send(*sent[-3:], sent[0])
        bench.wait(minutes=5)
        bench.both()
        assert bench.answer() == bench.expected(*sent)

    bench.send(*sent)
    bench.both()
    bench.batch.refresh("sales")
    meanwhile("before")
    below = bench.end
    decision = decided(bench)
    known = read_up_to(decision)
    meanwhile("decided")
    reservation = reserve(bench.batch, decision)
    meanwhile("reserved")
    computed = compute(bench.batch, reservation)
    meanwhile("computed")
    audited = audit(bench.batch, computed)
    meanwhile("audited")
    outcome = publish(bench.batch, audited)
    assert (outcome.cut, outcome.counts) == (below, Counts(read=8, counted=7, duplicate=1))
    assert outcome.audit.clean
    assert outcome.audit.compared
    assert bench.answer() == bench.expected(*sent)
    assert read_up_to(decision) == known, "what was decided stays as it was"
    assert bench.batch.refresh("sales").cut == bench.end
    assert bench.answer() == bench.expected(*sent)


def test_whoever_has_no_value_any_more_goes_on_from_the_ledger(bench: Bench) -> None:
    bench.send(*orders(6))
    bench.both()
    reservation = reserve(bench.batch, decided(bench))
    bench.send(order("more"))
    bench.both()
    assert reserve(bench.batch, decided(bench)).entry == reservation.entry
    again = reserve(bench.batch, decided(bench))
    assert again.plan == reservation.plan
    first, second = Counting(bench), Counting(bench)
    computed = compute(replace(bench.batch, runner=first), reservation)
    assert compute(replace(bench.batch, runner=second), again).results == computed.results
    assert (first.units, second.units) == (["2024-05-01"], [])
    audited = audit(bench.batch, computed)
    publish(bench.batch, audited)
    assert audit(bench.batch, computed) == audited, "what it finds follows from the value alone"


def test_a_version_that_was_put_only_waits_to_be_published(bench: Bench) -> None:
    bench.send(*orders(6))
    bench.both()
    audited = through_audit(bench)
    assert isinstance(decide(bench.batch, "sales", rebuild=False), Decided)
    put(bench.batch, audited)
    waiting = decide(bench.batch, "sales", rebuild=False)
    assert isinstance(waiting, Unpublished)
    assert publish(bench.batch, waiting).version == bench.served[1] == waiting.number
    assert bench.answer() == bench.expected(*orders(6))


def test_a_decision_that_another_run_overtook_is_refused_and_stands_as_it_was(bench: Bench) -> None:
    bench.send(*orders(6))
    bench.both()
    decision = decided(bench)
    known = read_up_to(decision)
    bench.batch.refresh("sales")
    with pytest.raises(ConflictError):
        reserve(bench.batch, decision)
    assert read_up_to(decision) == known
    assert isinstance(decide(bench.batch, "sales", rebuild=False), Nothing)


def test_a_version_is_served_once_however_often_it_is_published(bench: Bench) -> None:
    bench.send(*orders(6))
    bench.both()
    audited = through_audit(bench)
    outcome = publish(bench.batch, audited)
    with pytest.raises(ConflictError):
        publish(bench.batch, audited)
    assert list(bench.versions().versions) == [outcome.version] == [bench.served[1]]


def test_a_run_that_rests_longer_than_its_reservation_puts_nothing(bench: Bench) -> None:
    bench.send(*orders(6))
    bench.both()
    audited = through_audit(bench)
    bench.wait(minutes=bench.settings.reservation_minutes)
    with pytest.raises(SeamlineError) as raised:
        publish(bench.batch, audited)
    assert raised.value.condition is Condition.RESERVATION_EXPIRED
    assert not bench.versions().versions


VALUES = (Decided, Reservation, Recomputed, Audited, Unpublished, Outcome)
SOURCES = sorted(Path(seamline.jobs.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_no_job_sets_an_attribute_but_where_an_object_is_made(source: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.FunctionDef)]
    assert not [
        f"{function.name}, line {node.lineno}: {ast.unparse(node)}"
        for function in functions
        if function.name != "__init__"
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
    ]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_what_a_step_hands_on_says_at_each_field_what_it_holds(value: type) -> None:
    (source,) = [path for path in SOURCES if path.stem == "stages"]
    (body,) = [node.body for node in ast.parse(source.read_text()).body if getattr(node, "name", "") == value.__name__]
    said = [a.target.id for a, b in pairwise(body) if isinstance(a, ast.AnnAssign) and isinstance(b, ast.Expr)]
    assert said == list(value.__dataclass_fields__)
