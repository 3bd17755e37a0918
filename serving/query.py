"""One SELECT over the served views: checked, bound to an immutable snapshot, run, and answered with its provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches

import pyarrow as pa

from seamline.clock import Clock
from seamline.errors import Condition, SeamlineError, UserError
from seamline.observe.timed import step
from seamline.schemas.views.definition import Definition
from seamline.serving import beyond
from seamline.serving.bounds import BatchFiles, Paths
from seamline.serving.cursor import Cursor, light, statement, whole
from seamline.serving.explained import PLAN, explained, plan
from seamline.serving.guard import Reference
from seamline.serving.inference import UNKNOWN
from seamline.serving.once import within_query
from seamline.serving.parameters import Given, Parameters, given, unset
from seamline.serving.plain import warnings
from seamline.serving.pool import Pool
from seamline.serving.provenance import Answer, Provenances
from seamline.serving.pruning import Pruning
from seamline.serving.rebound import Text
from seamline.serving.reserved import TILES
from seamline.serving.snapshot import ServedView, Snapshot


@dataclass(frozen=True)
class Described:
    """What an answer will be like."""

    columns: pa.Schema
    """As an answer has them."""

    kinds: tuple[str, ...]
    """Their types' names in DuckDB."""

    parameters: tuple[str, ...]
    """The types' names of the text's parameters in DuckDB, `$1` first; UNKNOWN where the value decides."""


@dataclass(frozen=True)
class OpenAnswer:
    """An answer whose rows come piece by piece."""

    rows: pa.RecordBatchReader
    provenance: Provenances
    warnings: tuple[str, ...]


def described(sql: str, pool: Pool, snapshot: Snapshot) -> Described:
    """What the answer of a query will be like, without running it. Raises like `Query.run` before that runs."""
    asks_plan = explained(sql)
    asked = pool.asked(sql if asks_plan is None else asks_plan)
    query = Query(sql, pool, dict.fromkeys(asked.parameters))
    definitions = tuple(one.definition for one in query.served(snapshot).values())
    text, tiled = query.written(definitions, unset(asked.parameters))
    tiles = tuple(one for one in definitions if one.view in tiled)
    pool.bound(text, definitions, tiles)
    if asks_plan is not None:
        return Described(PLAN, ("VARCHAR",), tuple(UNKNOWN for _ in asked.parameters))
    columns, kinds, found = pool.described(text, definitions, tiles)
    return Described(columns, kinds, tuple(found.get(name, UNKNOWN) for name in asked.parameters))


class Query:
    """A checked query. Raises QUERY_INVALID or QUERY_REFUSED where it is not one SELECT over allowed things."""

    def __init__(self, sql: str, pool: Pool, parameters: Parameters = (), seconds: float | None = None) -> None:
        """`parameters`: values for those in the text. `seconds`: how long it may run, where that is shorter than the
        pool says. Raises INPUT_INVALID for parameters that are not the text's."""
        asks_plan = explained(sql)
        self.sql = sql if asks_plan is None else asks_plan
        self._explains = asks_plan is not None
        self._pool = pool
        self._asked = pool.asked(self.sql)
        self._given = given(parameters, self._asked.parameters)
        self._seconds = min(pool.seconds, seconds or pool.seconds)

    def views(self, snapshot: Snapshot) -> tuple[str, ...]:
        """The views it names. Raises QUERY_INVALID for one that is not served."""
        known = list(snapshot.views)
        for reference in self._asked.references:
            if reference.name not in known:
                raise _unknown(reference, known)
        return tuple(reference.name for reference in self._asked.references)

    def run(self, snapshot: Snapshot, clock: Clock) -> Answer:
        """The answer from one snapshot; raises what a view in it raises (`Snapshot.view`) before anything runs."""
        with self.reading(snapshot, clock) as answer:
            return Answer(whole(answer.rows), answer.provenance, answer.warnings)

    @contextmanager
    def reading(self, snapshot: Snapshot, clock: Clock) -> Iterator[OpenAnswer]:
        """The same, piece by piece: what the block does with them counts as the query's time. Raises like `run`."""
        served = self.served(snapshot)
        with ExitStack() as held:
            with step("query", "bind"):
                cursor, text, paths = held.enter_context(self._bound(served, snapshot))
            asked = clock()
            proofs = Provenances((name, one.provenance(asked)) for name, one in served.items())
            said = warnings(self._asked.calls, {name: one.definition for name, one in served.items()})
            said = (*said, *(unread(name, one.stream) for name, one in served.items() if one.is_unread))
            if self._explains:
                made = plan(served, paths, self._asked.names, self._asked.repeated)
                yield OpenAnswer(made.to_reader(), proofs, said)
                return
            try:
                with step("query", "run"), cursor.reading(text, self._seconds) as reader:
                    yield OpenAnswer(reader, proofs, said)
            except SeamlineError as error:
                if error.condition is not Condition.VALUE_OUT_OF_RANGE:
                    raise
                groups = self._groups_beyond(error, served, cursor)
                raise (error.but(message=f"{error.message}; so it is in {groups}") if groups else error) from error

    def _groups_beyond(self, error: SeamlineError, served: dict[str, ServedView], cursor: Cursor) -> str:
        """Which groups of the views are out of range; '' where that cannot be found in a query's time."""
        column = beyond.column_of(error.message)
        with suppress(SeamlineError):  # what is to be told is the error that there is
            return beyond.told((name, cursor.beyond(column, one, self._pool.seconds)) for name, one in served.items())
        return ""

    def explain(self, snapshot: Snapshot) -> str:
        """The kernel's plan."""
        with self._bound(self.served(snapshot), snapshot) as (cursor, text, _):
            return cursor.explain(text)

    def served(self, snapshot: Snapshot) -> dict[str, ServedView]:
        """The views that it names. Raises what one of them raises."""
        served = {name: snapshot.view(name) for name in self.views(snapshot)}
        self._one_as_of(snapshot, {one.stream for one in served.values()})
        return served

    @contextmanager
    def _bound(
        self, served: dict[str, ServedView], snapshot: Snapshot
    ) -> Iterator[tuple[Cursor, Text, Mapping[str, Paths | None]]]:
        """A cursor on which the views stand, what is then to be run (it was bound over nothing but these), and by view
        which of its batch files are read."""
        definitions = tuple(one.definition for one in served.values())
        text, tiled = self.written(definitions, self._given)
        self._pool.bound(text, definitions, tuple(served[name].definition for name in tiled))
        names = frozenset([*served, *(TILES + name for name in tiled)])
        prunings = self._prunings(served)
        moving = any(one.moving for _, one in prunings.values())
        with self._pool.cursor(snapshot.files, names) as cursor, cursor.moment() if moving else nullcontext():
            paths = {name: cursor.pruned(name, *one, self._seconds, self._given) for name, one in prunings.items()}
            inside = {} if self._asked.measured else self._inside(served, paths)
            for name, one in served.items():
                if name in inside:
                    cursor.give(one, paths.get(name))
                else:
                    cursor.define(name, one, self._asked.names, paths.get(name))
            for name in tiled:
                cursor.define_tiles(name, served[name], paths.get(name))
            if inside:
                text = replace(within_query(self.sql, inside, self._asked.repeated), given=self._given)
            yield cursor, text, paths

    def written(self, definitions: tuple[Definition, ...], values: Given) -> tuple[Text, tuple[str, ...]]:
        """The text with its MEASURE calls written out, and the views whose tiles it reads then."""
        if not self._asked.measured:
            return Text(self.sql, given=values), ()
        written = self._pool.measured(self.sql, definitions)
        return Text(written.sql, written.plain, given=values), written.tiles

    def _prunings(self, served: dict[str, ServedView]) -> dict[str, tuple[BatchFiles, Pruning]]:
        """By view, where there are files to choose from: these, and what of them the query can reach."""
        files = {n: one.batch for n, one in served.items() if isinstance(one.batch, BatchFiles)}
        if all(len(of_view.paths) < 2 for of_view in files.values()):
            return {}
        found = self._pool.prunings(self.sql, tuple(one.definition for one in served.values()), self._given)
        return {name: (of_view, found[name]) for name, of_view in files.items() if name in found}

    def _inside(self, served: dict[str, ServedView], paths: Mapping[str, Paths | None]) -> dict[str, str]:
        """The views that are written into the query: one that is named twice, so that it is evaluated once, and one of
        which not all files are read: to define it would take half as long as to ask it."""
        some = {name: one.opened(paths.get(name)) for name, one in served.items()}
        return {
            name: statement(one, light(one.definition, self._asked.names), paths=some[name])
            for name, one in served.items()
            if name not in self._asked.hidden and (name in self._asked.repeated or some[name] is not None)
        }

    def _one_as_of(self, snapshot: Snapshot, streams: set[str]) -> None:
        """Epochs are numbered by stream: one number says nothing about two of them."""
        if snapshot.as_of is not None and len(streams) > 1:
            raise UserError(
                Condition.QUERY_INVALID,
                f"as of epoch {snapshot.as_of} of several streams: {', '.join(sorted(streams))}",
                detail="views of one stream, where a past epoch is asked for",
                hint="ask each stream's views on their own",
            )


def unread(view: str, stream: str) -> str:
    """What is to be said where there is nothing to count yet."""
    return f"no record of stream {stream} was read yet, so {view} has no rows"


def _unknown(reference: Reference, known: list[str]) -> UserError:
    close = get_close_matches(reference.name, known, n=3)
    return UserError(
        Condition.QUERY_INVALID,
        f"no view is named {reference.name!r}",
        detail=", ".join(sorted(known)) or "(no view was applied yet)",
        hint=f"did you mean {' or '.join(close)}?" if close else "name one of the served views after FROM",
        where=reference.where,
    )
