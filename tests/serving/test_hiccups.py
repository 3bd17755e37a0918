"""One failure of the store is over at the next look: nothing that was read is lost, nothing older goes on answering.

The store fails once, at each call of a look in turn, while no further entry comes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from lakes import VIEW, Bench, order
from obstore.exceptions import GenericError
from obstore.store import LocalStore, MemoryStore
from tenacity import stop_after_attempt

from seamline import objects
from seamline.config import Settings
from seamline.errors import Condition, SeamlineError, TransientError
from seamline.lake import Lake
from seamline.serving.serving import Serving

ASKED = "SELECT sum(orders) AS orders FROM sales"
CALLS = ("get", "list", "list_with_delimiter", "head")


class Failing:
    """Fails the store's call number `at`, once; the ledger's own retries are off."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made, self.at = 0, 0
        for name in ("get", "paths", "stamps", "folders", "stands"):
            patch.setattr(getattr(objects, name).retry, "stop", stop_after_attempt(1))
        for name in CALLS:
            patch.setattr(obstore, name, self._counted(getattr(obstore, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.made += 1
            if self.made == self.at:
                raise GenericError("the store hiccuped")
            return call(*args, **kwargs)

        return counted


def version(bench: Bench) -> None:
    bench.send(order("new", amount=7))
    bench.both()
    bench.batch.rebuild("sales")


def epoch(bench: Bench) -> None:
    bench.send(order("new", amount=7))
    bench.speed()


def view(bench: Bench) -> None:
    epoch(bench)
    bench.apply(VIEW.replace("sales", "others"))


@pytest.mark.parametrize("change", [epoch, version, view])
def test_a_look_that_failed_at_any_call_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Bench], None]
) -> None:
    bench = Bench(tmp_path, store=MemoryStore())
    bench.send(order("old"))
    bench.both()
    before = entries(bench.lake)
    change(bench)
    after = entries(bench.lake)
    failing, at, told = Failing(monkeypatch), 0, True
    while told:
        at += 1
        lake = Lake(bench.lake.uri, MemoryStore())
        put(lake, before)
        serving = Serving(lake, Settings(), bench.clock)
        assert serving.query(ASKED).table.to_pylist() == [{"orders": 1}]
        put(lake, after)
        failing.made, failing.at = 0, at
        try:
            told = failing.at <= (serving.catch_up(), failing.made)[1]
        except SeamlineError as error:
            assert error.condition is Condition.STORE_UNAVAILABLE
        failing.at = 0
        serving.catch_up()
        assert serving.query(ASKED).table.to_pylist() == [{"orders": 2}], at
        assert set(serving.snapshot().views) == {"sales", *(["others"] if change is view else [])}
        assert (serving.snapshot().chain("sales").version is not None) == (change is version)
        assert not serving.catch_up()
        serving.close()
    assert at > 3


def entries(lake: Lake) -> dict[str, bytes]:
    """All that the lake's store holds; the files that entries name are beside it."""
    paths = [item["path"] for listed in obstore.list(lake.store) for item in listed]
    return {path: bytes(obstore.get(lake.store, path).bytes()) for path in paths}


def put(lake: Lake, kept: dict[str, bytes]) -> None:
    for path, payload in kept.items():
        obstore.put(lake.store, path, payload)


def test_a_view_whose_file_could_not_be_read_answers_at_the_next_look(tmp_path: Path) -> None:
    """In an object store, whose files are read through pyarrow."""
    bench = Bench(tmp_path, store=LocalStore(str(tmp_path)))
    bench.lake, bench.carried = Lake(f"file://{tmp_path}", bench.lake.store), 0
    bench.send(order("old"))
    bench.speed()
    serving = Serving(bench.lake, Settings(), bench.clock)
    bench.send(order("new"))
    bench.speed()
    (file,) = newest(tmp_path)
    hidden = file.rename(file.with_suffix(".hidden"))
    serving.catch_up()
    with pytest.raises(TransientError) as caught:
        serving.query(ASKED)
    assert caught.value.condition is Condition.STORE_UNAVAILABLE
    hidden.rename(file)
    serving.catch_up()
    assert serving.query(ASKED).table.to_pylist() == [{"orders": 2}]
    assert not serving.catch_up()


def newest(folder: Path) -> list[Path]:
    """The pack of the last epoch."""
    return sorted(folder.glob("speed/main/*.pack"), key=lambda path: path.stat().st_mtime_ns)[-1:]
