"""Partials that another kernel or an older layout stored: refused by name, for the views that they concern alone,
until a rebuild has made them again; nothing that is made from then on mixes both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import pytest
from dying import Death
from lakes import VIEW, Bench, order, orders

from seamline.commitpoint import hooked
from seamline.config import Settings
from seamline.entries.base import Stored
from seamline.errors import Condition, SeamlineError
from seamline.history.speed import SpeedHistory
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.kernel import KERNEL_VERSION
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.catalogue import Catalogue
from seamline.serving.serving import Serving
from seamline.streaming.speed.maintenance import Maintenance

OFTEN = VIEW.replace("approx_count_distinct(id) AS ids", "mode(shop) AS often")
PLAIN = VIEW.replace("approx_count_distinct(id) AS ids", "count(id) AS ids")
"""`weight` was stored otherwise before layout 6, `often` before 5; ids are the kernel's hashes; nothing of PLAIN is."""

BEFORE = Stored()
OTHER = Stored(kernel="duckdb-1.4", layout=LAYOUT)


def age(bench: Bench, by: Stored = BEFORE) -> None:
    """Makes the lake one that another release has written: what entries and markers say of it is that release's."""
    store = bench.lake.store
    for prefix in ("ledger/", "runs/"):
        for item in [item for batch in obstore.list(store, prefix=prefix) for item in batch]:
            said = json.loads(bytes(obstore.get(store, item["path"]).bytes()))
            if "layout" in said:
                obstore.put(store, item["path"], json.dumps(said | by.model_dump()).encode(), mode="overwrite")
    bench._speed = None  # the process that wrote it has ended


def ask(bench: Bench) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        Serving(bench.lake, Settings(), bench.clock).query("SELECT * FROM sales").table.to_pylist()
    )
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


def refused(bench: Bench) -> SeamlineError:
    with pytest.raises(SeamlineError) as caught:
        ask(bench)
    assert caught.value.condition is Condition.KERNEL_VERSION
    return caught.value


@pytest.mark.parametrize(
    ("view", "by", "column"), [(OFTEN, BEFORE, "weight, often, (events)"), (VIEW, OTHER, "ids"), (PLAIN, OTHER, "")]
)
@pytest.mark.parametrize("versioned", [False, True])
def test_what_was_stored_otherwise_is_refused_by_view_and_column_until_a_rebuild(
    tmp_path: Path, view: str, by: Stored, column: str, versioned: bool
) -> None:
    bench = Bench(tmp_path, view=view)
    bench.send(*orders(20))
    bench.both()
    if versioned:
        bench.batch.refresh("sales")
    bench.send(order("after"))
    bench.both()
    age(bench, by)
    sent = (*orders(20), order("after"))
    if not column:
        assert ask(bench) == bench.expected(*sent)
        return
    error = refused(bench)
    assert f"of view sales was stored by kernel {by.kernel} in layout {by.layout}" in error.message
    assert error.message.endswith(f"does not read for {column}")
    assert "seamline batch rebuild sales" in error.hint
    waits = bench.batch.rebuild("sales")
    assert (waits.version, column in waits.reason) == (None, True)  # no epoch that it could end before
    bench.send(order("new"))
    bench.both()
    refused(bench)
    if versioned:
        with pytest.raises(SeamlineError, match="KERNEL_VERSION"):
            bench.batch.refresh("sales")
    outcome = bench.batch.rebuild("sales")
    assert "stored by kernel" in outcome.audit.note
    assert ask(bench) == bench.expected(*sent, order("new"))


def test_an_operator_cannot_go_back_to_a_version_that_is_not_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=OFTEN)
    bench.send(*orders(20))
    bench.both()
    first = bench.batch.refresh("sales").version
    age(bench)
    bench.send(order("new"))
    bench.both()
    bench.batch.rebuild("sales")
    with pytest.raises(SeamlineError, match="KERNEL_VERSION"):
        bench.batch.rollback("sales", first)


class Counting:
    """A runner that remembers which units it ran."""

    def __init__(self, bench: Bench) -> None:
        self.units: list[str] = []
        self._run = local_runner(bench.lake)

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        for result in self._run(tasks):
            self.units.append(result.unit)
            yield result


@pytest.mark.parametrize("point", ["batch.after-files", "batch.after-version"])
def test_units_and_versions_of_a_run_killed_under_another_kernel_are_made_again(tmp_path: Path, point: str) -> None:
    bench = Bench(tmp_path)
    bench.send(*orders(20))
    bench.both()

    def die(reached: str) -> None:
        if reached == point:
            raise Death

    with hooked(die), pytest.raises(Death):
        bench.batch.rebuild("sales")
    age(bench, OTHER)
    bench.send(order("new"))
    bench.both()
    runner = Counting(bench)
    outcome = replace(bench.batch, runner=runner).rebuild("sales")
    assert runner.units
    made = bench.versions().versions[outcome.version or 0]
    assert (made.kernel, made.layout) == (KERNEL_VERSION, LAYOUT)
    assert ask(bench) == bench.expected(*orders(20), order("new"))


@pytest.mark.parametrize(
    ("view", "by", "compacted"), [(OFTEN, BEFORE, False), (VIEW, OTHER, False), (PLAIN, OTHER, True)]
)
def test_epochs_that_are_not_read_are_not_compacted(tmp_path: Path, view: str, by: Stored, compacted: bool) -> None:
    """What is made of others says that today's statements stored it, which is as true."""
    bench = Bench(tmp_path, view=view)
    for n in range(4):
        bench.send(order(f"o{n}"))
        bench.both()
    age(bench, by)
    bench.send(order("new"))
    bench.speed()
    assert bench._speed is not None
    settings = Settings(speed={"compact_epochs": 2})  # type: ignore[arg-type]
    entry = Maintenance(bench._speed, Catalogue(bench.lake), settings).compact()
    assert (entry is not None) == compacted
    newest = SpeedHistory(bench.lake.speed_log("main"))
    for made in (*newest.compacted.values(), newest.epochs[newest.last_epoch]):
        assert (made.kernel, made.layout) == (KERNEL_VERSION, LAYOUT)
