"""Whatever is done in whatever order around a contract's handover, every answer is that of one pass over the records,
each judged by what the ledger says of its position."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import CONTRACT, VIEW, Bench, order

from seamline.entries.views import DefinitionRecord
from seamline.errors import SeamlineError
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.judging import judged_otherwise
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.states import apply_views
from seamline.schemas.views.text import parse_views


def with_coupon(kind: str) -> Contract:
    text = CONTRACT.replace(" EXTRA", "")
    field = f"      - {{name: coupon, logicalType: {kind}}}\ncustomProp" if kind else "customProp"
    return parse_contract(text.replace("customProp", field), "orders.yaml")


KINDS: dict[str, Callable[[object], bool]] = {
    "": lambda coupon: True,
    "string": lambda coupon: coupon is None or isinstance(coupon, str),
    "integer": lambda coupon: coupon is None or isinstance(coupon, int),
}
"""What kinds of coupon a contract accepts, told without it."""

CASES = {"quick": 2, "long": 60}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 8)

RECORD = st.tuples(st.integers(0, 12), st.sampled_from([None, "s", 7]), st.integers(0, 1))
"""Number of the order, its coupon, the partition."""

ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.lists(RECORD, min_size=1, max_size=4)),
    st.tuples(st.sampled_from(["speed", "archive"]), st.integers(0, 3)),
    st.tuples(st.just("import"), st.lists(st.sampled_from([None, "s", 7]), min_size=1, max_size=2)),
    st.tuples(st.sampled_from(["refresh", "rebuild", "restart", "apply"]), st.none()),
)


class Orders:
    """A bench, and what was sent."""

    def __init__(self, folder: Path, before: str, after: str) -> None:
        field = f"}}\n      - {{name: coupon, logicalType: {before}" if before else ""
        self.bench = Bench(folder, extra=field)
        self.kinds = (before, after)
        self.first = self.bench.served[0]
        self.imports: dict[str, list[tuple[str, object]]] = {}
        self.sent: dict[int, list[tuple[str, object]]] = {0: [], 1: []}
        self.send([(90, None, 0), (91, None, 1)])
        self.bench.both()
        assert self.bench.batch.refresh("sales").version is not None

    def send(self, records: Iterable[tuple[int, object, int]]) -> None:
        for number, coupon, partition in records:
            self.sent[partition].append((f"o{number}", coupon))
            self.bench.send(_record(f"o{number}", coupon), partition=partition)

    def act(self, what: str, given: Any) -> None:
        bench = self.bench
        if what == "send":
            self.send(given)
        elif what in ("speed", "archive"):
            end = Frontier({p: max(0, offset - given) for p, offset in bench.end.items()})
            work, log = (bench.speed, bench.lake.speed_log("main")) if what == "speed" else (bench.archive, None)
            reached = SpeedHistory(log).frontier if log else _archived(bench)
            work(end.join(reached))
        elif what == "import":
            name = str(len(self.imports))
            records = [(f"i{name}-{n}", coupon) for n, coupon in enumerate(given)]
            self.imports[f"import:{name}"] = records
            bench.import_file(name, *(_record(*one) for one in records))
        elif what == "restart":
            bench._speed = None
        elif what == "apply":
            self.apply()
        else:
            getattr(bench.batch, what)("sales")

    def apply(self) -> None:
        bench, now = self.bench, with_coupon(self.kinds[1])
        bench.contract = now
        texts = {v.name: v for v in parse_views(VIEW, "views.sql")}
        engine = bench.lake.kernel()
        apply_views(bench.lake, texts, {"orders": now}, bench.clock,
                    lambda was, is_: judged_otherwise(bench.lake, engine, was, is_) is None)  # fmt: skip

    def check(self) -> None:
        """The answer that is served, against a count by hand."""
        bench = self.bench
        definition, version = bench.served
        assert definition is not None
        try:
            answer = bench.answer()
        except SeamlineError as error:
            assert definition != self.first, error
            return
        speed = SpeedHistory(bench.lake.speed_log("main"))
        record = next(r for r in Catalogue(bench.lake).states["sales"].definitions if r.definition == definition)
        imports = bench.versions().versions[version].imports if version is not None else ()
        ids = set(self._counted(record, speed, imports))
        assert sum(row["orders"] for row in answer) == len(ids), (answer, sorted(ids))

    def _counted(self, record: DefinitionRecord, speed: SpeedHistory, imports: Iterable[str]) -> Iterable[str]:
        """The ids of the records that are accepted, each judged by what stands for its position."""
        before, after = (KINDS[kind] for kind in self.kinds)
        (handover,) = record.handovers.get("orders", (None,))
        at = handover and (handover.at or speed.handovers.get(handover.id))
        only = after if record.definition != self.first else before
        for partition, records in self.sent.items():
            place = Partition(self.bench.source, partition)
            for offset, (id_, coupon) in enumerate(records[: speed.frontier[place]]):
                judge = only if at is None else before if offset < at[place] else after
                if judge(coupon):
                    yield id_
        for source in imports:
            for id_, coupon in self.imports[source]:
                judge = only if handover is None else before if source in handover.imports else after
                if judge(coupon):
                    yield id_


def _archived(bench: Bench) -> Frontier:
    return ArchiveHistory(bench.lake.archive_log("main")).frontier


def _record(id_: str, coupon: object) -> bytes:
    value = json.loads(order(id_))
    return json.dumps(value if coupon is None else {**value, "coupon": coupon}).encode()


@pytest.mark.parametrize(("before", "after"), [("", "string"), ("string", ""), ("string", "integer")])
@settings(max_examples=CASES)
@given(actions=st.lists(ACTIONS, min_size=4, max_size=10), at=st.integers(0, 5))
def test_each_record_is_judged_by_what_stands_for_its_position(
    before: str, after: str, actions: list[tuple[str, Any]], at: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Orders(Path(folder), before, after)
        for number, (what, given_) in enumerate(actions):
            if number == at:
                world.apply()
            world.act(what, given_)
            world.check()
        world.act("speed", 0)
        world.act("archive", 0)
        for _ in range(3):
            outcome = world.bench.batch.refresh("sales")
            assert outcome.audit.drift == ()
            world.check()
        assert world.bench.batch.rebuild("sales").audit.clean
        world.check()
