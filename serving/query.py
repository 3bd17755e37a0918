"""One SELECT over the served views: checked, bound to an immutable snapshot, run, and answered with its provenance."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from seamline.errors import Condition, UserError
from seamline.serving.plain import warnings
from seamline.serving.pool import Cursor, Pool, Text
from seamline.serving.provenance import Answer, Provenances

if TYPE_CHECKING:
    from seamline.serving.guard import Reference
    from seamline.serving.snapshot import Served, Snapshot


class Query:
    """A checked query. Raises QUERY_INVALID or QUERY_REFUSED where it is not one SELECT over allowed things."""

    def __init__(self, sql: str, pool: Pool) -> None:
        self.sql = sql
        self._pool = pool
        self._asked = pool.asked(sql)

    def views(self, snapshot: Snapshot) -> tuple[str, ...]:
        """The views it names. Raises QUERY_INVALID for one that is not served."""
        known = list(snapshot.views)
        for reference in self._asked.references:
            if reference.name not in known:
                raise _unknown(reference, known)
        return tuple(reference.name for reference in self._asked.references)

    def run(self, snapshot: Snapshot) -> Answer:
        """The answer from one snapshot; raises what a view in it raises (`Snapshot.view`) before anything runs."""
        with self._pool.cursor() as cursor:
            served = self._served(snapshot)
            text = self._bind(served, cursor)
            asked = snapshot.serving.clock()
            proofs = Provenances((name, one.provenance(asked)) for name, one in served.items())
            said = warnings(self._asked.calls, {name: one.definition for name, one in served.items()})
            return Answer(cursor.run(text, self._pool.seconds), proofs, said)

    def explain(self, snapshot: Snapshot) -> str:
        """The kernel's plan."""
        with self._pool.cursor() as cursor:
            return cursor.explain(self._bind(self._served(snapshot), cursor))

    def _served(self, snapshot: Snapshot) -> dict[str, Served]:
        served = {name: snapshot.view(name) for name in self.views(snapshot)}
        self._one_as_of(snapshot, {one.stream for one in served.values()})
        return served

    def _bind(self, served: dict[str, Served], cursor: Cursor) -> Text:
        """Defines the views, and what is then to be run."""
        for name, one in served.items():
            cursor.define(name, one, self._asked.names)
        if not self._asked.measured:
            return Text(self.sql)
        written = self._pool.measured(self.sql, tuple(one.definition for one in served.values()))
        for name in written.tiles:
            cursor.define_tiles(name, served[name])
        return Text(written.sql, written.plain)

    def _one_as_of(self, snapshot: Snapshot, streams: set[str]) -> None:
        """Epochs are numbered by stream: one number says nothing about two of them."""
        if snapshot.as_of is not None and len(streams) > 1:
            raise UserError(
                Condition.QUERY_INVALID,
                f"as of epoch {snapshot.as_of} of several streams: {', '.join(sorted(streams))}",
                allowed="views of one stream, where a past epoch is asked for",
                mend="ask each stream's views on their own",
            )


def _unknown(reference: Reference, known: list[str]) -> UserError:
    close = get_close_matches(reference.name, known, n=3)
    return UserError(
        Condition.QUERY_INVALID,
        f"no view is named {reference.name!r}",
        allowed=", ".join(sorted(known)) or "(no view was applied yet)",
        mend=f"did you mean {' or '.join(close)}?" if close else "name one of the served views after FROM",
        where=reference.where,
    )
