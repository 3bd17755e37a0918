"""A reader that asks while everything happens, and holds each answer against the truth of exactly what it covers.

An answer's provenance names a frontier. The truth below it is counted from the records that were sent, by position, so
any moment can be checked and not only the end.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import duckdb
import httpx
from truth import Counting, Event, Tally, Topic, events_table
from waiting import wait_until

from seamline.clock import Clock, system_clock
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.lake import Lake
from seamline.schemas.project import Project
from seamline.serving.encode import FORMATS, rows
from seamline.serving.lookups.indexes import Lookups
from seamline.serving.lookups.rowsasked import MOST, RowsAsked
from seamline.serving.provenance import check_json
from seamline.serving.serving import Serving

NOT_READY = frozenset({Condition.VIEW_NOT_READY})
"""Before the first epoch a view says that it is not ready: never a number."""

Ask = Callable[[str], Mapping[str, Any]]
"""One SELECT to the JSON body of its answer. Raises SeamlineError, or ConnectionError where nobody listens."""


@dataclass(frozen=True)
class Seen:
    """One answer: its rows in an order of their own, and what it says it covers."""

    rows: tuple[str, ...]
    version: int | None
    reached: Frontier
    definition: str = ""

    requests: tuple[int, ...] = ()
    """What it says was asked to be forgotten of its records."""

    pending: tuple[int, ...] = ()
    """Of these, those that may still be in it."""


@dataclass(frozen=True)
class Asked:
    """A request to forget a buyer: every event of theirs below `until`, and all copies of it."""

    number: int
    buyer: str
    until: Frontier


@dataclass(frozen=True)
class Counted:
    """Law 3 as the ledger said it at one moment."""

    frontier: Frontier
    tally: Tally


def library(project: Project, clock: Clock = system_clock) -> Ask:
    """Asks a serving library of its own, which follows the ledger; an index for lookups has to say the same."""
    serving = Serving(project.lake, project.settings, clock)
    lookups, one = Lookups(lambda: serving, 64 << 20), threading.Lock()

    def ask(sql: str) -> Mapping[str, Any]:
        with one:
            serving.catch_up()
            body: dict[str, Any] = json.loads(FORMATS["json"].encode(serving.query(sql)))
            for view in body["provenance"]:
                if sql == f'SELECT * FROM "{view}"':
                    indexed = looked_up(serving, lookups, view)
                    assert indexed is None or indexed == ordered(body["rows"]), f"an index of {view} says {indexed}"
        return body

    return ask


def looked_up(serving: Serving, lookups: Lookups, view: str) -> tuple[str, ...] | None:
    """All rows of a view from an index at the newest snapshot; None where it has none."""
    served = serving.snapshot().view(view)
    lookups.find(view, served)
    lookups.follow()
    lookups.catch_up()
    answers = lookups.find(view, served)
    if answers is None:
        return None
    asked = RowsAsked(view)
    _, body = answers.body(asked, answers.find(asked, MOST), system_clock())
    return ordered(json.loads(body)["rows"])


def http(address: Callable[[], str]) -> Ask:
    """Asks the serving role at `address()`, which may change as it is started again."""
    client = httpx.Client(timeout=30)

    def ask(sql: str) -> Mapping[str, Any]:
        try:
            response = client.post(f"{address()}/v1/query", json={"sql": sql, "format": "json"})
        except httpx.HTTPError as error:
            raise ConnectionError(str(error)) from error
        body: dict[str, Any] = response.json()
        if response.is_error:
            raise SeamlineError(Condition(body["condition"]), str(body))
        return body

    return ask


class Reader:
    """Asks one view as a whole, again and again, in a thread of its own, as long as the block lasts.

    `allowed`: conditions that may be raised instead of an answer while a fault is on. Whatever else is raised, or
    any answer whose chain does not hold, is a failure.
    """

    def __init__(
        self, ask: Ask, lake: Lake, view: str, *, allowed: frozenset[Condition] = NOT_READY, pause: float = 0.05
    ) -> None:
        self.view = view
        self.allowed = allowed
        self.seen: list[Seen] = []
        self.counted: list[Counted] = []
        self.refused: list[Condition] = []
        self.unreachable = 0
        self.failures: list[str] = []
        self._ask = ask
        self._lake = lake
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def asks(self, more: int = 3, seconds: float = 60) -> list[Seen | Condition]:
        """Waits until so many more questions are asked from now on and answered or refused; gives what came."""
        seen, refused = len(self.seen), len(self.refused)
        wait_until(
            lambda: len(self.seen) - seen + len(self.refused) - refused >= more or self.failures, seconds, "answers"
        )
        assert not self.failures, self.failures[0]
        return [*self.seen[seen:], *self.refused[refused:]]

    def reaches(self, frontier: Frontier, seconds: float = 90) -> Seen:
        """Waits for an answer that covers `frontier`; gives it."""
        wait_until(
            lambda: self.failures or (self.seen and frontier <= self.seen[-1].reached), seconds, f"answer at {frontier}"
        )
        assert not self.failures, self.failures[0]
        return self.seen[-1]

    def _run(self) -> None:
        log = self._lake.speed_log("main")
        numbers, history = log.numbers(), SpeedHistory(log)
        whole = numbers == list(range(1, len(numbers) + 1))  # else retention has removed some, and what they count
        while not self._stop.wait(self._pause):
            try:
                self.seen.append(as_seen(self._ask(f'SELECT * FROM "{self.view}"'), self.view))
                history.catch_up()
                if whole:
                    self.counted.append(Counted(history.frontier, tally_of(history)))
            except ConnectionError:
                self.unreachable += 1
            except SeamlineError as error:
                if error.condition in self.allowed:
                    self.refused.append(error.condition)
                else:
                    self.failures.append(f"{error.condition}: {error}")
            except Exception as error:  # noqa: BLE001 - whatever is wrong with an answer is what a reader reports
                self.failures.append(f"{type(error).__name__}: {error}")


def as_seen(body: Mapping[str, Any], view: str) -> Seen:
    """Reads an answer and checks its chain. Raises SEAM_HOLE or SEAM_OVERLAP."""
    said = body["provenance"][view]
    check_json(said)
    erased = said.get("erased", {"requests": [], "pending": []})
    return Seen(
        ordered(body["rows"]), said["version"], Frontier.from_json(said["reached"]), said["definition"],
        tuple(erased["requests"]), tuple(erased["pending"]),
    )  # fmt: skip


def tally_of(history: SpeedHistory) -> Tally:
    """Every record once: what lives on in an older decoding alone is counted beside it, under `name@decoding`."""
    terms = [counts for name, counts in history.counts.items() if "@" not in name]
    return Tally(*(sum(getattr(one, term) for one in terms) for term in Tally.__dataclass_fields__))


def ordered(given: Iterable[list[Any]]) -> tuple[str, ...]:
    """Rows as text, sorted."""
    return tuple(sorted(json.dumps(row) for row in given))


class Truth:
    """What is true along a topic. Frontiers are asked in growing order: each goes on from the one before.

    An event that was asked to be forgotten carries the first request that names it, and is left out of what knows that.
    """

    def __init__(self, topic: Topic, views: Mapping[str, str], asked: Iterable[Asked] = ()) -> None:
        self._topic = topic
        self._forgotten = forgotten(topic, asked)
        self._selects = {name: exact(text) for name, text in views.items()}
        self._counting = Counting(None)
        self._at = topic.origin
        self._tally = Tally(0, 0, 0, 0)
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register("empty", events_table([]))
        self._connection.execute("CREATE TABLE counted AS SELECT *, 0 AS _request FROM empty")

    def __enter__(self) -> Truth:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def tally(self, frontier: Frontier) -> Tally:
        """Law 3's four terms for the records below a frontier."""
        if frontier != self._at:
            one = self._counting.take(self._topic.between(self._at, frontier))
            terms = (getattr(self._tally, term) + getattr(one, term) for term in Tally.__dataclass_fields__)
            self._tally, self._at = Tally(*terms), frontier
            self._insert(self._counting.events)
            self._counting.events.clear()
        return self._tally

    def answer(self, view: str, frontier: Frontier, without: Iterable[int] = ()) -> tuple[str, ...]:
        """The view's own SELECT over the events below a frontier but those of some requests, as `ordered` rows."""
        self.tally(frontier)
        left_out = ", ".join(map(str, (-1, *without)))
        self._connection.execute(
            f"CREATE OR REPLACE TEMP VIEW orders AS SELECT * EXCLUDE (_request) FROM counted "
            f"WHERE _request NOT IN ({left_out})"
        )
        return ordered(rows(self._connection.sql(self._selects[view]).to_arrow_table()))

    def _insert(self, events: list[Event]) -> None:
        if events:
            named = [self._forgotten.get(event, 0) for event in events]
            self._connection.register("more", events_table(events).append_column("_request", [named]))
            self._connection.execute("INSERT INTO counted SELECT * FROM more")
            self._connection.unregister("more")


def forgotten(topic: Topic, asked: Iterable[Asked]) -> dict[Event, int]:
    """Each event that stands in the topic below a request's end and is its buyer's, with the first such request."""
    found: dict[Event, int] = {}
    for request in sorted(asked, key=lambda one: one.number):
        for _, record in topic.between(topic.origin, request.until):
            if record.event is not None and record.event.buyer == request.buyer:
                found.setdefault(record.event, request.number)
    return found


def exact(view: str) -> str:
    """A view's SELECT, with sketches replaced by exact counts."""
    return view.partition(" AS\n")[2].replace("approx_count_distinct(", "count(DISTINCT ")


def possible(said: Seen) -> list[tuple[int, ...]]:
    """The requests that an answer may be without: those that it does not say are pending; of those, the older first."""
    done = tuple(number for number in said.requests if number not in said.pending)
    return [(*done, *said.pending[:more]) for more in range(len(said.pending) + 1)]


def check(readers: Iterable[Reader], topic: Topic, views: Mapping[str, str], asked: Iterable[Asked] = ()) -> int:
    """Holds everything that was answered against the truth; gives how many answers were checked.

    The order of epochs is total, so answers of all readers are gone through in the order of what they cover.
    Where definitions change on the way, `views` has the text of each under its hash too.
    """
    answers = [(seen.reached, reader.view, seen) for reader in readers for seen in reader.seen]
    counts = [(counted.frontier, "", counted) for reader in readers for counted in reader.counted]
    for reader in readers:
        assert not reader.failures, reader.failures[0]
    with Truth(topic, views, asked) as truth:
        in_order = sorted([*answers, *counts], key=lambda item: (sum(o for _, o in item[0].items()), item[1]))
        for (frontier, view), group in groupby(in_order, key=lambda item: item[:2]):
            for said in {item[2] for item in group}:
                if isinstance(said, Counted):
                    wanted = truth.tally(frontier) if frontier.sources else Tally(0, 0, 0, 0)
                    assert said.tally == wanted, f"law 3 at {frontier}: {said.tally}, not {wanted}"
                    assert said.tally.read == said.tally.counted + said.tally.rejected + said.tally.duplicate
                else:
                    text = said.definition if said.definition in views else view
                    truths = [truth.answer(text, frontier, without) for without in possible(said)]
                    true = said.rows if said.rows in truths else truths[0]
                    wrong, missing = (sorted(set(a) - set(b))[:8] for a, b in ((said.rows, true), (true, said.rows)))
                    assert said.rows == true, f"{view} at {frontier}, version {said.version}: {wrong} not {missing}"
    return len(answers)
