"""Lookups from an index say what SQL says, to the byte but for the lag, after every epoch, version and change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import OTHER, VIEW, Handmade, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from test_touched import calls

from seamline.errors import Condition, SeamlineError
from seamline.ipc import from_ipc
from seamline.serving.encode import FORMATS
from seamline.serving.lookups.indexes import PATIENCE, Lookups
from seamline.serving.lookups.rowsasked import MOST, NULL, RowsAsked, as_sql, key_order
from seamline.serving.serving import Serving

ROOM = 1 << 30
HAVING = VIEW.replace("GROUP BY ALL", "GROUP BY ALL HAVING count(*) % 3 <> 0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lakes")


class Looking:
    """A lake, its serving library, and indexes of all its views."""

    def __init__(self, folder: Path, *views: str, room: int = ROOM) -> None:
        self.made = Handmade(folder, *views)
        self.made.epoch(rows(20))
        self.serving: Serving = self.made.serving()
        self.now = 0.0
        self.lookups = Lookups(lambda: self.serving, room, lambda: self.now)
        for view in self.serving.snapshot().views:
            self.find(view)
        self.look()

    def look(self) -> None:
        self.serving.catch_up()
        self.lookups.follow()
        self.lookups.catch_up()

    def find(self, view: str = "sales") -> Any:
        return self.lookups.find(view, self.serving.snapshot().view(view))

    def both(self, asked: RowsAsked) -> int:
        """What both say, which must be the same; how many rows it is."""
        answers, served = self.find(asked.view), self.serving.snapshot().view(asked.view)
        assert answers is not None
        assert answers.index.served is served
        found = answers.find(asked, MOST)
        sql, given = as_sql(served.definition, asked)
        answer = self.serving.query(sql, given)
        _, said = answers.body(asked, found, self.made.clock())
        assert said == FORMATS["json"].encode(answer), asked
        _, said = answers.body(asked, found, self.made.clock(), "arrow")
        assert from_ipc(said).equals(from_ipc(FORMATS["arrow"].encode(answer)), check_metadata=True)
        assert len(found) == answer.table.num_rows
        return len(found)

    def whole(self, view: str = "sales") -> list[tuple[str, ...]]:
        """Every row's keys as texts, in the order of lookups."""
        names = [key.name for key in key_order(self.serving.snapshot().view(view).definition)]
        columns = ", ".join(f'"{name}"::VARCHAR' for name in names)
        table = self.serving.query(f"SELECT {columns} FROM {view}").table
        return [tuple(map(spelled, row.values())) for row in table.to_pylist()]

    def every(self, view: str = "sales") -> int:
        """Looks every key up, alone and as a prefix; how many there were."""
        self.both(RowsAsked(view))
        keys = self.whole(view)
        for key in keys:
            assert self.both(RowsAsked(view, key)) == 1
        for prefix in sorted({key[:-1] for key in keys}):
            assert self.both(RowsAsked(view, prefix)) == len({k for k in keys if k[:-1] == prefix})
        return len(keys)


def spelled(text: str | None) -> str:
    if text is None:
        return NULL
    return f"\\{text}" if text.startswith("\\") else text.removesuffix("+00")


STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 6))
    | st.sampled_from(["version", "compact", "both"]),
    min_size=1, max_size=10,
)  # fmt: skip


@pytest.mark.parametrize("view", [VIEW, HAVING], ids=["plain", "having"])
@settings(max_examples=6)
@given(steps=STEPS)
def test_after_every_step_both_say_the_same(folder: Path, view: str, steps: list[Any]) -> None:
    at, compacted = Looking(folder, view), 0
    for step in steps:
        if step == "version":
            at.made.version(at.made.sent, cut=at.made.ends[-1])
        elif step == "compact":
            if at.made.number - compacted >= 2:
                at.made.compact(compacted + 1, at.made.number)
                compacted = at.made.number
        else:
            shop, hour, count = (1, 2, 3) if step == "both" else step
            sent = len(at.made.sent)
            at.made.epoch([(f"shop{shop}", hour, sent + n) for n in range(count)])
        if step != "both":
            at.look()
    at.look()
    at.every()
    at.both(RowsAsked("sales", ("shop1",), "2024-05-01T01:00:00Z", "2024-05-01T04:00:00Z"))
    at.both(RowsAsked("sales", ("shop1",), None, "2024-05-01T04:00:00Z", limit=2))
    at.both(RowsAsked("sales", ("shop1",), "2024-05-01T02:30:00Z", columns=("MEAN", "hour")))
    for nothing in (("shop9",), (NULL,), ("shop1", "2030-01-01T00:00:00Z"), ("", "2024-05-01T00:00:00Z")):
        assert at.both(RowsAsked("sales", nothing)) == 0
    at.serving.close()


def test_thousands_of_keys_through_epochs_and_a_version(folder: Path) -> None:
    at = Looking(folder)
    for epoch in range(12):
        many = 3000 if epoch == 4 else 300
        at.made.epoch([(f"s{(epoch * 250 + n) % 5000}", n % 7, epoch * 10_000 + n) for n in range(many)])
        if epoch == 8:
            at.made.version(at.made.sent[:-many], cut=at.made.ends[-2])
        at.look()
    index = at.find().index
    assert len(index.layers) > 1
    assert len(index.layers) <= 6
    wanted = {
        (r["shop"], r["hour"].strftime("%Y-%m-%dT%H:%M:%SZ")): r
        for r in at.serving.query("FROM sales").table.to_pylist()
    }
    assert len(wanted) > 4000
    answers = at.find()
    names = [output.name for output in index.served.definition.columns]
    for key, row in wanted.items():
        ((layer, number),) = answers.find(RowsAsked("sales", key), 9)
        assert {name: layer.table[name][number].as_py() for name in names} == row
    for prefix in sorted({key[0] for key in wanted})[::50]:
        at.both(RowsAsked("sales", (prefix,)))
    assert at.both(RowsAsked("sales", limit=3000)) == 3000


ODD = ["", "\\N", "\\\\x", "a,b", "é", "\U0001f980", "A", "a b&c=d%", "\\", "'; --", "zz" * 200]
KEYS = {
    "TINYINT": "(amount % 100 - 50)::TINYINT", "SMALLINT": "(-amount)::SMALLINT", "INTEGER": "amount::INTEGER",
    "BIGINT": "(amount * 4000000000 - 9)::BIGINT", "BOOLEAN": "nullif(amount % 3, 0) = 1", "VARCHAR": "shop",
    "DATE": "(placed - to_days((amount % 40)::INTEGER * 400))::DATE",
    "TIMESTAMP": "(placed - to_days((amount % 40)::INTEGER))::TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "placed - to_seconds(amount::BIGINT / 8)", "UINTEGER": "amount::UINTEGER",
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type(folder: Path, kind: str) -> None:
    key = f"CASE WHEN amount % 11 <> 4 THEN {KEYS[kind]} END"
    select = (
        f"SELECT {key} AS k, time_bucket(INTERVAL '1 hour', placed) AS hour, count(*) AS n FROM orders GROUP BY ALL"
    )
    view = f"CREATE MATERIALIZED VIEW v AS {select}"
    at = Looking(folder, view)
    assert next(one.sql_type for one in at.serving.snapshot().view("v").definition.keys if one.name == "k") == kind
    for epoch in range(3):
        at.made.epoch([(ODD[n % len(ODD)], n % 3, 14 * epoch + n) for n in range(14)])
        if epoch == 1:
            at.made.version(at.made.sent, cut=at.made.ends[-1], view="v")
        at.look()
    assert at.every("v") > 4


def test_every_aggregate_that_regroups_is_looked_up(folder: Path) -> None:
    """One view over all that do; and one view for each that does not, which has no index."""
    texts = list(calls())
    alone = [f"CREATE MATERIALIZED VIEW v{n} AS SELECT placed::DATE AS k, {call} AS v FROM orders GROUP BY k"
             for n, (_, call) in enumerate(texts)]  # fmt: skip
    at = Looking(folder, *alone)
    fits = sorted(at.lookups.held)
    assert 30 < len(fits) < len(texts)
    some = [(shop, hour, n) for n, (shop, hour) in enumerate([("a", 1), ("b", 30), ("a", 2), ("é", 55)] * 9)]
    for epoch in range(2):
        at.made.epoch(some[epoch * 18 : epoch * 18 + 18])
        at.look()
        assert sorted(at.lookups.held) == fits
        for view in fits:
            at.both(RowsAsked(view))


def test_a_view_has_an_index_once_it_was_asked_for_and_sql_answers_until_then(folder: Path) -> None:
    made = Handmade(folder, VIEW, OTHER)
    made.epoch(rows(9))
    serving = made.serving()
    lookups = Lookups(lambda: serving, ROOM)
    lookups.catch_up()
    assert not lookups.held
    assert lookups.find("shops", serving.snapshot().view("shops")) is None
    lookups.catch_up()
    assert list(lookups.held) == ["shops"]


def test_beyond_the_cap_there_is_none_and_it_is_not_tried_with_each_epoch(folder: Path) -> None:
    at = Looking(folder, room=1)
    assert not at.lookups.held
    at.made.epoch(rows(3))
    at.look()
    assert not at.lookups.held
    at = Looking(folder, room=12_000)
    assert at.find() is not None
    at.made.epoch([(f"s{n}", 0, n) for n in range(200)])
    at.look()
    assert at.find() is None
    assert Looking(folder, room=0).find() is None


def test_an_index_that_is_far_behind_does_not_answer(folder: Path) -> None:
    at = Looking(folder)
    at.made.epoch(rows(3))
    at.serving.catch_up()
    at.lookups.follow()
    assert at.find() is not None
    at.now += PATIENCE
    assert at.find() is None
    at.look()
    assert at.find() is not None


def test_another_definition_is_looked_up_once_it_is_served(folder: Path) -> None:
    at = Looking(folder)
    at.made.view(VIEW.replace("max(placed) AS latest", "min(placed) AS earliest"))
    at.made.epoch(rows(5))
    (new,) = [d for d in at.made.catalogue.live("main") if d.hash != at.made.served().hash]
    version = at.made.version(at.made.sent, cut=at.made.ends[-1], publish=False)
    entry: Any = at.made.lake.batch_log(at.made.served().hash).read(version)
    path = at.made.write(new, at.made.sent)
    at.made.put(at.made.lake.batch_log(new.hash), entry.model_copy(update={"units": {"u": (path,)}}))
    at.made.publish(1, definition=new.hash)
    at.serving.catch_up()
    assert at.find() is None
    at.look()
    assert "earliest" in at.find().index.layers[0].table.column_names
    at.every()


WRONG = [
    (("a", "2024-05-01T00:00:00Z", "x"), {}, "3 keys"),
    (("a", "yesterday"), {}, "hour='yesterday'"),
    (("a", "2024-13-01"), {}, "2024-13-01"),
    (("a", "2024-05-01"), {"since": "2024-05-01"}, "bucket is a key"),
    (("a",), {"since": NULL}, "to NULL"),
    (("a",), {"columns": ("nope",)}, "nope"),
]


@pytest.mark.parametrize(("key", "more", "said"), WRONG)
def test_what_cannot_be_asked_is_told_alike(folder: Path, key: tuple[str, ...], more: Any, said: str) -> None:
    at = Looking(folder)
    asked = RowsAsked("sales", key, **more)
    for ask in (lambda: at.find().body(asked, at.find().find(asked, 9), at.made.clock()),
                lambda: as_sql(at.serving.snapshot().view("sales").definition, asked)):  # fmt: skip
        with pytest.raises(SeamlineError) as caught:
            ask()
        assert caught.value.condition is Condition.INPUT_INVALID
        assert said in str(caught.value)
