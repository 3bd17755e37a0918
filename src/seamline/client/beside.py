"""A connection to a project's folder: answers are made in this process, from the lake, and no role need run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from seamline.client.liveupdates import check_asked, update_of
from seamline.client.spelling import in_address, key_text, spelled
from seamline.connection import Connection, LiveUpdate, NamedQuery, Scalar, Values, named_query
from seamline.errors import Condition, UserError
from seamline.kernel import fold, quote
from seamline.result import Result
from seamline.schemas.project import load_project
from seamline.serving.asking import Ask, Direct, too_many_rows
from seamline.serving.callers import LOCAL
from seamline.serving.live.changing import Changing
from seamline.serving.live.feed import Feed, Followable, ReadTo
from seamline.serving.live.updates import LiveMark
from seamline.serving.lookups.rowsasked import MOST, RowsAsked, as_sql
from seamline.serving.parameters import Parameters
from seamline.serving.saved import allowed_queries, load_queries, saved_query
from seamline.serving.serving import Serving


class Beside(Connection):
    """Reads on in the ledger before each answer: what was committed before it is asked is in it."""

    def __init__(self, folder: Path) -> None:
        """Raises CONFIG_INVALID and the like where the folder is no project, STORE_UNAVAILABLE without its lake."""
        project = load_project(folder)
        self._serving = Serving(project.lake, project.settings)
        self._pause = project.settings.serving.pace(project.lake.uri).poll.total_seconds()
        self._queries = load_queries(project.folder)
        self._looking = threading.Lock()

    def query(self, sql: str, parameters: Values = (), *, as_of: int | None = None) -> Result:
        """As `Connection.query` has it."""
        return self._answered(sql, spelled(parameters), as_of)

    def ask(self, name: str, parameters: Mapping[str, Scalar] | None = None, *, as_of: int | None = None) -> Result:
        """As `Connection.ask` has it."""
        saved = saved_query(self._queries, name, LOCAL)
        return self._answered(saved.sql, saved.values(in_address(parameters or {})), as_of)

    def lookup(
        self,
        view: str,
        *key: Scalar,
        since: Scalar = None,
        until: Scalar = None,
        columns: Sequence[str] = (),
        limit: int | None = None,
    ) -> Result:
        """As `Connection.lookup` has it. Raises what it raises."""
        first, last = (None if one is None else key_text(one) for one in (since, until))
        asked = RowsAsked(fold(view), tuple(map(key_text, key)), first, last, tuple(columns), limit)
        if limit is not None and not 1 <= limit <= MOST:
            raise UserError(Condition.INPUT_INVALID, f"limit={limit}", detail=f"a whole number from 1 to {MOST:,}")
        self._look()
        sql, given = as_sql(self._serving.snapshot().view(asked.view).definition, asked)
        result = self._answered(sql, given, None)
        if limit is None and result.arrow().num_rows > MOST:
            raise too_many_rows(MOST)
        return result

    def queries(self) -> tuple[NamedQuery, ...]:
        """As `Connection.queries` has it."""
        return tuple(named_query(one.to_json()) for one in allowed_queries(self._queries, LOCAL))

    def live(
        self, sql: str | None = None, parameters: Values = (), *, view: str | None = None, after: str = ""
    ) -> Iterator[LiveUpdate]:
        """As `Connection.live` has it."""
        check_asked(sql, view)
        text = sql if sql is not None else f"SELECT * FROM {quote(fold(view or ''))}"
        what = Followable(Ask(text, LOCAL, spelled(parameters), "json"), fold(view or ""))
        feed = Feed(what, Direct(lambda: self._serving), Changing(lambda: self._serving), asyncio.Event)
        place = ReadTo(mark=LiveMark.parse(after))
        with ThreadPoolExecutor(1) as apart:  # a loop may run in this thread: notebooks have one
            while True:
                self._look()
                event = apart.submit(lambda: asyncio.run(feed.now(place))).result()
                if event is None:
                    time.sleep(self._pause)
                else:
                    yield update_of(event.kind, event.data, str(event.mark or ""))

    def _answered(self, sql: str, parameters: Parameters, as_of: int | None) -> Result:
        self._look()
        answer = self._serving.query(sql, parameters, as_of=as_of)
        for one in answer.provenance.values():
            one.check()
        return Result(answer.table, answer.provenance.to_json(), tuple(answer.warnings))

    def status(self) -> Mapping[str, Any]:
        """As `Connection.status` has it."""
        self._look()
        return self._serving.status().to_json()

    def close(self) -> None:
        """Ends its kernels."""
        self._serving.close()

    def _look(self) -> None:
        with self._looking:  # one thread reads on, and the others wait: they are to have it too
            self._serving.catch_up()
