"""What a Python program has of a project: a connection, whether it leads to a folder or to a role."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeAlias
from uuid import UUID

from seamline.errors import SeamlineError
from seamline.result import Result

Scalar: TypeAlias = bool | int | float | str | Decimal | datetime | date | time | UUID | None
Values: TypeAlias = Sequence[Scalar] | Mapping[str, Scalar]


@dataclass(frozen=True)
class AskedColumn:
    """One column of a view."""

    name: str

    type: str
    """DuckDB's name of it."""

    exactness: str
    """`exact`, or what it is instead; `bound` says how far from it."""

    bound: str = ""
    comment: str = ""


@dataclass(frozen=True)
class AskedView:
    """A view that may be asked."""

    name: str

    state: str
    """`ready`, or why not: `not ready`, `hole`, `overlap`, `dropped`, `failed`."""

    error: str
    columns: tuple[AskedColumn, ...]
    comment: str = ""


@dataclass(frozen=True)
class NamedParameter:
    """One parameter of a saved query."""

    name: str

    type: str
    """As `DATE`; docs/http.md says how a text of it is written."""

    default: str | None
    """As text; None: a value has to be given."""

    comment: str = ""


@dataclass(frozen=True)
class NamedQuery:
    """A saved query that may be asked."""

    name: str
    comment: str
    parameters: tuple[NamedParameter, ...]
    views: tuple[str, ...]


@dataclass(frozen=True)
class LiveUpdate:
    """One thing that is new. Values are those of JSON (docs/http.md), whether they come from a role or not."""

    kind: str
    """`answer`: `rows` are all that there are. `changes`: `rows` are to be put in the place of those of their keys, and
    the keys in `gone` have none any more. `same`: a newer epoch, the same answer. `failed`: `error` says why."""

    epoch: int | None
    id: str
    columns: tuple[str, ...] = ()

    keys: tuple[str, ...] = ()
    """Of a view's changes: which columns."""

    rows: tuple[tuple[Any, ...], ...] = ()
    gone: tuple[tuple[Any, ...], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: SeamlineError | None = None

    def folded(self, state: dict[tuple[Any, ...], tuple[Any, ...]], keys: Sequence[str]) -> None:
        """Brings a view's rows by their keys (names of columns) up to date."""
        if self.kind == "answer":
            state.clear()
        places = [self.columns.index(key) for key in keys] if self.columns else []
        state.update({tuple(row[place] for place in places): row for row in self.rows})
        for key in self.gone:
            state.pop(key, None)


class Connection(ABC):
    """Asks the views of one project. Threads may share it. It is closed by `close`, or at the end of a `with`."""

    @abstractmethod
    def query(self, sql: str, parameters: Values = (), *, as_of: int | None = None) -> Result:
        """One SELECT over views. parameters: values for `$1`, `$2`, … in order, or for `$name`; they are bound, never
        pasted, and what JSON has no type for goes as text (DuckDB reads it as what it is compared with; `$1::DATE` says
        so). as_of: the number of a past epoch.

        Raises UserError (QUERY_INVALID, QUERY_REFUSED, QUERY_TIMEOUT, OUT_OF_RETENTION, …), TransientError
        (VIEW_NOT_READY, STORE_UNAVAILABLE, SERVING_UNAVAILABLE: ask again), TerminalError (SEAM_HOLE, SEAM_OVERLAP, …).
        """

    @abstractmethod
    def ask(self, name: str, parameters: Mapping[str, Scalar] | None = None, *, as_of: int | None = None) -> Result:
        """The answer of a saved query of the project (`queries/NAME.sql`). parameters: values by name, of the types
        that the query declares; those that have a default may be left out.

        Raises as `query` does; UserError INPUT_INVALID for other parameters, QUERY_UNKNOWN for another name.
        """

    @abstractmethod
    def lookup(
        self,
        view: str,
        *key: Scalar,
        since: Scalar = None,
        until: Scalar = None,
        columns: Sequence[str] = (),
        limit: int | None = None,
    ) -> Result:
        """The rows of a view by its keys, in their order: values for its keys as it names them, its first time bucket
        last; fewer are a prefix. since, until: its bucket from the one (included) to the other (not). columns: all,
        where none are named. limit: the first rows; without it there may be 10,000.

        Raises as `query` does; UserError INPUT_INVALID for what is no value of a key's type.
        """

    @abstractmethod
    def queries(self) -> tuple[NamedQuery, ...]:
        """The saved queries that may be asked, by name."""

    @abstractmethod
    def live(
        self, sql: str | None = None, parameters: Values = (), *, view: str | None = None, after: str = ""
    ) -> Iterator[LiveUpdate]:
        """What changes: in the answer of a SELECT, or in a view. First the state now; then, whenever something is new,
        until the loop is left. after: the `id` of an update that the program has: of a view, what changed since.

        Raises as `query` does, before the first update; later SERVING_UNAVAILABLE where the role ends or is away (go on
        with `after`), UNAUTHENTICATED where the token holds no more.
        """

    @abstractmethod
    def status(self) -> Mapping[str, Any]:
        """How far every stream and view is, as docs/http.md#status-and-health has it."""

    @abstractmethod
    def close(self) -> None:
        """Ends it; nothing can be asked any more."""

    def views(self) -> tuple[AskedView, ...]:
        """The views that may be asked, by name."""
        return tuple(_view(name, said) for name, said in sorted(self.status()["views"].items()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _view(name: str, said: Mapping[str, Any]) -> AskedView:
    columns = tuple(
        AskedColumn(column, one["type"], one["exactness"], one["bound"], one["comment"])
        for column, one in said.get("columns", {}).items()
    )
    return AskedView(name, said["state"], said["error"], columns, said.get("comment", ""))


def named_query(said: Mapping[str, Any]) -> NamedQuery:
    """A saved query as `/v1/queries` lists it."""
    parameters = tuple(
        NamedParameter(one["name"], one["type"], one["default"], one["comment"]) for one in said["parameters"]
    )
    return NamedQuery(said["name"], said["comment"], parameters, tuple(said["views"]))
