"""What a session holds by name: statements that were prepared, and portals, which are answers on their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seamline.serving.wire.copying import Copy
from seamline.serving.wire.cut import Statement
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.kinds import WireType
from seamline.serving.wire.protocol import TEXT, Bind
from seamline.serving.wire.questions import Answered
from seamline.serving.wire.rows import WireColumn

MOST = 500
"""Statements, or portals, that one session may hold."""


@dataclass(frozen=True)
class Done:
    """What a statement did."""

    tag: str
    """CommandComplete's; `{}` in it is the number of rows."""

    answered: Answered | None = None

    most: int | None = None
    """Rows that are taken of it, where it goes on giving after that."""

    of_catalogue: bool = False
    copy: Copy | None = None
    keeps: bool = False
    """Whether what is left of the answer stays: a cursor's."""

    unseen: bool = False
    """Whether its rows are passed over, not sent."""


@dataclass(frozen=True)
class Ready:
    """One statement, ready to be run with values."""

    statement: Statement | None
    """None: there was none."""

    run: Callable[[Sequence[Any]], Awaitable[Done]]
    parameters: tuple[WireType, ...] = ()

    columns: tuple[WireColumn, ...] | None = None
    """None where it gives no rows."""

    ends_failure: bool = False
    """Whether it may be run in a transaction that failed."""


@dataclass
class Portal:
    """A statement with its values, and how far its answer was given."""

    prepared: Ready
    values: tuple[Any, ...]
    formats: tuple[int, ...]
    done: Done | None = None
    tagged: int = 0
    """Rows that were given."""

    holds: bool = field(default=False)
    """Whether it outlives its transaction."""

    def begun(self, done: Done) -> None:
        """It was run."""
        self.done = done

    def took(self, rows: int) -> None:
        """So many more of its rows were given."""
        self.tagged += rows

    async def close(self) -> None:
        """Ends its query."""
        if self.done is not None and self.done.answered is not None and not self.done.keeps:
            await self.done.answered.aclose()


async def nothing(_: Sequence[Any]) -> Done:
    """What an empty statement does."""
    return Done("")


def bound(prepared: Ready, message: Bind) -> Portal:
    """A portal of a statement. Raises WireError for values that do not fit it."""
    wanted = len(prepared.parameters)
    if len(message.values) != wanted:
        raise WireError(
            "08P01", f"bind message supplies {len(message.values)} parameters, but prepared statement "
            f'"{message.statement}" requires {wanted}',
        )  # fmt: skip
    forms = spread(message.formats, wanted, "parameter")
    values = tuple(
        None if data is None else kind.read(data, form)
        for kind, data, form in zip(prepared.parameters, message.values, forms, strict=True)
    )
    columns = len(prepared.columns or ())
    return Portal(prepared, values, spread(message.results, columns, "result"))


def spread(formats: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """One format for each: none said means text, one means all. Raises WireError."""
    if any(one not in (0, 1) for one in formats):
        raise WireError("22023", f"invalid format code: {next(one for one in formats if one not in (0, 1))}")
    if len(formats) <= 1:
        return (formats[0] if formats else TEXT,) * count
    if len(formats) != count:
        raise WireError("08P01", f"bind message has {len(formats)} {what} formats but there are {count}")
    return tuple(formats)
