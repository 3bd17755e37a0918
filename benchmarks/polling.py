"""What following a lake costs where each request of its store takes a while: looks with and without something new,
over few and many views, against asking each log for its next entry in turn.

The store is a folder, each of whose requests waits; a listing is a request for each 1,000 objects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import obstore
from figures import Figure, Size
from lakes import SOURCE, VIEW, Clicks

from seamline.clock import ManualClock, system_clock
from seamline.config import Settings
from seamline.frontier import Frontier, Partition
from seamline.hints import FOLLOWED
from seamline.history.base import History
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.serving.serving import Serving

VIEWS = {Size.SMALL: (7, 60), Size.WHOLE: (7, 300)}
LATENCY = 0.015
PAGE = 1000
ROUNDS = 5


def measure(size: Size) -> list[Figure]:
    """Requests and seconds of a look, by the number of views."""
    return [figure for views in VIEWS[size] for figure in _of(views)]


def _of(views: int) -> Iterable[Figure]:
    sizes = {"views": views, "latency ms": LATENCY * 1000}
    with TemporaryDirectory() as folder:
        clicks = Clicks(
            Path(folder), 200, view=";\n".join(VIEW.replace("VIEW pages", f"VIEW pages{n}") for n in range(views))
        )
        clicks.send(1)
        clock = ManualClock(system_clock())
        serving = Serving(clicks.lake, Settings(), clock)
        time.sleep(FOLLOWED)
        serving.catch_up()
        logs = _logs(clicks)
        found: dict[str, list[tuple[int, float]]] = {}
        with _slow() as made:
            for _ in range(ROUNDS):
                found.setdefault("each log in turn", []).append(_cost(made, lambda: _in_turn(clicks, logs)))
                found.setdefault("at rest", []).append(_cost(made, serving.catch_up))
                _epoch(clicks)
                found.setdefault("an epoch", []).append(_cost(made, serving.catch_up))
                time.sleep(FOLLOWED)
                serving.catch_up()
                clock.advance(Settings().serving.pace(clicks.lake.uri).sweep)
                found.setdefault("every log", []).append(_cost(made, serving.catch_up))
        serving.close()
    for what, costs in found.items():
        name = f"a look, {what}, {views} views"
        bar = "at most 2" if what == "at rest" else ""
        yield Figure(name, median(n for n, _ in costs), "requests", "", sizes, bar)
        yield Figure(name, median(took for _, took in costs), "s", "", sizes)


def _logs(clicks: Clicks) -> list[History]:
    lake = clicks.lake
    views = [ViewHistory(lake.view_log(view)) for view in lake.views()]
    batches = [BatchHistory(lake.batch_log(one.hash)) for one in clicks.definitions]
    return [*views, *batches, SpeedHistory(lake.speed_log("main"), lake.packs.keep)]


def _in_turn(clicks: Clicks, logs: list[History]) -> None:
    clicks.lake.views()
    for one in logs:
        one.catch_up()


def _epoch(clicks: Clicks) -> None:
    """One that holds no rows."""
    clicks.frontier = Frontier({Partition(SOURCE, 0): clicks.events + 1})
    clicks._epoch(dict.fromkeys((one.hash for one in clicks.definitions), None), 1)


def _cost(made: list[int], work: Callable[[], Any]) -> tuple[int, float]:
    before, began = len(made), time.perf_counter()
    work()
    return len(made) - before, time.perf_counter() - began


@contextmanager
def _slow() -> Iterator[list[int]]:
    """Every request waits; one item for each is in what this gives."""
    made: list[int] = []
    whole = {name: getattr(obstore, name) for name in ("get", "head", "put", "list", "list_with_delimiter")}

    def wait(requests: int = 1) -> None:
        made.extend([1] * requests)
        time.sleep(LATENCY * requests)

    def slow(name: str, *given: Any, **named: Any) -> Any:
        wait()
        return whole[name](*given, **named)

    def paged(*given: Any, **named: Any) -> Any:
        items = [item for batch in whole["list"](*given, **named) for item in batch]
        wait(max(1, -(-len(items) // PAGE)))
        return iter([items])

    for name in whole:
        setattr(obstore, name, paged if name == "list" else partial(slow, name))
    try:
        yield made
    finally:
        for name, call in whole.items():
            setattr(obstore, name, call)
