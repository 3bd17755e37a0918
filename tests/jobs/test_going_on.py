"""A definition that goes on with another text of its contract: both layers go on with it, and read nothing again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lakes import CONTRACT, DAY, VIEW, Bench, contract, order, orders

from seamline.entries.speed import Epoch, Memory
from seamline.frontier import Frontier, Partition
from seamline.history.speed import SpeedHistory
from seamline.jobs.read_order import foreign, reading
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.schemas.contracts.contract import Before, parse_contract

NARROW = VIEW.replace("avg(weight) AS weight, ", "")
RENAMED = parse_contract(
    CONTRACT.replace(" EXTRA", "").replace("{name: weight,", "{name: mass, physicalName: weight,"), "orders.yaml"
)
BOTH = contract()


def test_a_definition_goes_on_and_raw_is_not_decoded_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=NARROW)
    first = orders(6, step=timedelta(days=1))
    bench.send(*first)
    bench.both()
    definition = bench.served[0]
    assert bench.batch.refresh("sales").version == 2
    bench.send(order("late", DAY))
    bench.both()
    bench.contract = RENAMED
    bench.speed()
    assert bench.apply(NARROW) == definition
    sent = [*first, order("late", DAY), *orders(3, "p")]
    bench.send(*sent)  # copies of all, and some more
    bench.both()
    assert bench.answer() == bench.expected(*sent)
    tallies = list[tuple[int, ...]]()
    run = local_runner(bench.lake)

    def runner(tasks: list[UnitTask]) -> Iterable[UnitResult]:
        for result in run(tasks):
            tallies.append(result.tally)
            yield result

    outcome = replace(bench.batch, runner=runner).refresh("sales")
    assert (outcome.definition, outcome.audit.compared, outcome.audit.clean) == (definition, True, True)
    assert outcome.audit.explained == ()
    assert outcome.counts.counted == len(sent)
    assert {(tally[1], tally[0] == tally[3]) for tally in tallies if tally} == {(0, True)}  # none of another decoding
    assert bench.answer() == bench.expected(*sent)
    assert bench.batch.rebuild("sales").audit.clean


def test_a_definition_without_a_version_gets_its_first_one_after_it_has_gone_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=NARROW)
    bench.send(*orders(4))
    bench.both()
    bench.contract = RENAMED
    bench.apply(NARROW)
    bench.send(*orders(6))
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert (outcome.counts.counted, outcome.cut, outcome.audit.clean) == (6, bench.end, True)
    assert bench.answer() == bench.expected(*orders(6))


def test_what_was_remembered_is_what_the_decoding_that_was_read_by_says(tmp_path: Path) -> None:
    now = replace(RENAMED, earlier=("older", BOTH.decoding))
    at, place = datetime(2026, 1, 1, tzinfo=UTC), Partition("orders@1", 0)

    def epoch(number: int, **memories: Memory) -> Epoch:
        bounds = {"start": Frontier({place: number * 10}), "end": Frontier({place: number * 10 + 10})}
        return Epoch(at=at, number=number, claim=1, files={}, memories=memories, **bounds)

    def memory(start: int, *spans: tuple[int, str]) -> Memory:
        return Memory(horizon=60, identity="", spans=spans, start=Frontier({place: start}), whole=True)

    epochs = [
        epoch(1, foreign=memory(0, (1, "foreign")), older=memory(3, (1, "foreign"))),
        epoch(2, **{BOTH.decoding: memory(10, (1, "foreign"), (2, BOTH.decoding))}),
        epoch(3, **{BOTH.decoding: memory(5, (2, BOTH.decoding)),
                    RENAMED.decoding: memory(20, (1, "foreign"), (2, BOTH.decoding), (3, RENAMED.decoding))}),
    ]  # fmt: skip
    assert reading(epochs, now, Frontier())["remembered"].to_pylist() == [3, 10, 20]
    assert foreign(epochs, now) == epochs[1].start
    assert foreign(epochs, replace(now, earlier=())) == epochs[2].start


def test_below_the_position_of_a_handover_an_epoch_remembers_by_what_was_before(tmp_path: Path) -> None:
    at, place = datetime(2026, 1, 1, tzinfo=UTC), Partition("orders@1", 0)
    memories = {
        one.decoding: Memory(
            horizon=60, identity="", spans=((1, one.decoding),), start=Frontier({place: n}), whole=True
        )
        for n, one in enumerate((BOTH, RENAMED), start=1)
    }
    epochs = [
        Epoch(at=at, number=n, claim=1, files={}, memories=memories, start=Frontier({place: n * 10}),
              end=Frontier({place: n * 10 + 10}))
        for n in (1, 2)
    ]  # fmt: skip
    for until, remembered in ((Frontier({place: 20}), [1, 2]), (None, [1, 1]), (Frontier(), [2, 2])):
        now = replace(RENAMED, before=Before(BOTH, "h", until))
        assert reading(epochs, now, Frontier())["remembered"].to_pylist() == remembered


def test_the_plan_of_a_stream_goes_by_one_decoding_once_the_text_is_taken_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=NARROW)
    bench.send(*orders(2))
    bench.speed()
    bench.contract = RENAMED
    bench.send(*orders(3))
    bench.speed()
    bench.apply(NARROW)
    bench.send(*orders(4))
    bench.speed()
    epochs = SpeedHistory(bench.lake.speed_log("main")).epochs
    assert [set(epochs[n].decodings) for n in (1, 2, 3)] == [
        {BOTH.decoding}, {BOTH.decoding}, {RENAMED.decoding}
    ]  # fmt: skip
    assert {tuple(epochs[n].files) for n in (1, 2, 3)} == {(bench.served[0],)}
