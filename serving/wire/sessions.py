"""One client that was let in: its messages in their order, and what each is answered. The reading and writing is the
connection's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import pyarrow as pa

from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.serving.wire import protocol
from seamline.serving.wire.commands import prepare
from seamline.serving.wire.cut import Statement, statements
from seamline.serving.wire.failing import WireError, fatal, told
from seamline.serving.wire.portals import MOST, Done, Portal, Ready, bound
from seamline.serving.wire.protocol import (
    Bare,
    Bind,
    Close,
    Describe,
    Execute,
    Message,
    Parse,
    SimpleQuery,
)
from seamline.serving.wire.questions import Questions, as_described
from seamline.serving.wire.rows import AT_ONCE, copy_data, data_rows
from seamline.serving.wire.variables import Variables

T = TypeVar("T")

CANCELLED = "canceling statement due to user request"


class Stop:
    """Tells a session that its statement is to end: a CancelRequest came, or the client is gone."""

    def __init__(self) -> None:
        self._asked, self.gone = asyncio.Event(), False

    def ask(self, gone: bool = False) -> None:
        """The statement that runs is to end. `gone`: nobody waits for it any more."""
        self.gone = self.gone or gone
        self._asked.set()

    def forget(self) -> None:
        """What was asked before a statement began does not concern it."""
        if not self.gone:
            self._asked.clear()

    async def unless(self, work: Awaitable[T]) -> T:
        """What the work gives. Raises WireError 57014 where it is asked first to stop."""
        doing = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({doing, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise ConnectionResetError if self.gone else WireError("57014", CANCELLED)
            return doing.result()
        finally:
            asked.cancel()
            if not doing.done():
                doing.cancel()
                with suppress(asyncio.CancelledError, SeamlineError, WireError, OSError):
                    await doing


class Session:
    """What stands between two messages of a client: its transaction, settings, statements and portals."""

    def __init__(
        self,
        user: str,
        questions: Questions,
        variables: Variables,
        send: Callable[[bytes], None],
        flush: Callable[[], Awaitable[None]],
        stop: Stop,
    ) -> None:
        """`send` keeps bytes for the client, `flush` waits until it has taken them."""
        self.user, self.questions, self.variables = user, questions, variables
        self.state = "I"
        self._send, self._flush, self._stop = send, flush, stop
        self._statements: dict[str, Ready] = {}
        self._portals: dict[str, Portal] = {}
        self._skips = False
        self._reported = variables.reported()

    async def take(self, message: Message) -> bool:
        """Answers one message; False where it was the last. Raises a fatal WireError, or ConnectionResetError."""
        if isinstance(message, Bare) and message.tag == "X":
            return False
        self._stop.forget()
        if isinstance(message, SimpleQuery):
            await self._simple(message.sql)
        elif isinstance(message, Bare) and message.tag == "S":
            await self._sync()
        elif isinstance(message, Bare) and message.tag == "H":
            await self._flush()
        elif isinstance(message, Bare):
            pass  # what comes of a COPY that is over
        elif not self._skips:
            await self._guarded(self._step(message))
        return True

    def refuse(self, error: WireError) -> None:
        """A message that could not be read, though the next one can: as if it had failed."""
        self._failed(error)

    async def close(self) -> None:
        """Ends all that runs."""
        for name in list(self._portals):
            await self.drop(name)

    # what statements may do (commands.Talk)

    def notice(self, error: WireError) -> None:
        """Tells the client."""
        self._send(protocol.error_response(error))

    def portal(self, name: str) -> Portal:
        """One by its name. Raises WireError 34000."""
        if name not in self._portals:
            raise WireError(
                "34000", f'portal "{name}" does not exist' if not name else f'cursor "{name}" does not exist'
            )
        return self._portals[name]

    async def hold(self, name: str, portal: Portal) -> None:
        """Keeps one by a name that none has. Raises WireError."""
        if name in self._portals and name:
            await portal.close()
            raise WireError("42P03", f'cursor "{name}" already exists')
        if len(self._portals) >= MOST:
            await portal.close()
            raise WireError("53400", f"more than {MOST} portals", hint="close some")
        await self.drop(name if name in self._portals else "")
        self._portals[name] = portal

    async def drop(self, name: str | None) -> None:
        """Closes a portal, or all. One that is not there is closed."""
        for one in list(self._portals) if name is None else [name]:
            if (portal := self._portals.pop(one, None)) is not None:
                await portal.close()

    async def end(self, undone: bool) -> None:
        """Ends a transaction, and the portals in it."""
        self.state = "I"
        self.variables.end(undone)
        for name, one in list(self._portals.items()):
            if not one.holds or undone:
                await self.drop(name)
        self.told()

    def begin(self) -> None:
        """Begins one."""
        self.state = "T"
        self.variables.begin()

    def recover(self) -> None:
        """Goes back to a savepoint: there is nothing to undo."""
        self.state = "T"

    def forget(self, name: str | None) -> None:
        """Forgets a prepared statement, or all. Raises WireError 26000."""
        if name is None:
            self._statements.clear()
        elif self._statements.pop(name, None) is None:
            raise WireError("26000", f'prepared statement "{name}" does not exist')

    def told(self) -> None:
        """The client is told of settings that it follows."""
        now = self.variables.reported()
        for name, value in now.items():
            if self._reported.get(name) != value:
                self._send(protocol.status(name, value))
        self._reported = now

    # messages

    async def _simple(self, sql: str) -> None:
        if await self._guarded(self._all(sql)) and self.state == "I":
            await self._end_implicit()
        self._skips = False
        await self._ready()

    async def _all(self, sql: str) -> None:
        found = statements(sql)
        if not found:
            self._send(protocol.EMPTY_QUERY)
        for one in found:
            prepared = await self._prepared(one)
            done = await self._stop.unless(prepared.run(()))
            if prepared.columns is not None:
                self._send(protocol.row_description(column.shown() for column in prepared.columns))
            portal = Portal(prepared, (), (0,) * len(prepared.columns or ()), done)
            try:
                await self._give(portal, 0)
            finally:
                await portal.close()

    async def _sync(self) -> None:
        self._skips = False
        if self.state == "I":
            await self._end_implicit()
        await self._ready()

    async def _end_implicit(self) -> None:
        """Outside of a transaction portals end with what was sent together."""
        for name, one in list(self._portals.items()):
            if not one.holds:
                await self.drop(name)

    async def _ready(self) -> None:
        self._send(protocol.ready(self.state))
        await self._flush()

    async def _guarded(self, work: Awaitable[None]) -> bool:
        """Does it, and tells the client where it fails; True where it did not."""
        try:
            await work
        except WireError as error:
            if error.severity == "FATAL":
                raise
            self._failed(error)
        except SeamlineError as error:
            self._failed(told(error))
        else:
            return True
        return False

    def _failed(self, error: WireError) -> None:
        self._send(protocol.error_response(error))
        self._skips = True
        if self.state == "T":
            self.state = "E"

    async def _step(self, message: Message) -> None:
        if isinstance(message, Parse):
            await self._parse(message)
        elif isinstance(message, Bind):
            await self._bind(message)
        elif isinstance(message, Describe):
            self._describe(message)
        elif isinstance(message, Execute):
            await self._execute(message)
        elif isinstance(message, Close):
            if message.kind == "S":
                self._statements.pop(message.name, None)
            else:
                await self.drop(message.name)
            self._send(protocol.CLOSED)
        else:
            raise fatal("08P01", "a password where none was asked for")

    async def _parse(self, message: Parse) -> None:
        if message.name and message.name in self._statements:
            raise WireError("42P05", f'prepared statement "{message.name}" already exists')
        if len(self._statements) >= MOST:
            raise WireError("53400", f"more than {MOST} prepared statements", hint="close some")
        found = statements(message.sql)
        if len(found) > 1:
            raise WireError("42601", "cannot insert multiple commands into a prepared statement")
        self._statements.pop(message.name, None)
        self._statements[message.name] = await self._prepared(found[0] if found else None, message.kinds)
        self._send(protocol.PARSED)

    async def _prepared(self, statement: Statement | None, declared: Sequence[int] = ()) -> Ready:
        if self.state == "E" and statement is not None and statement.verb not in _AFTER_FAILURE:
            raise _failed_before()
        return await self._stop.unless(prepare(self, statement, declared))

    async def _bind(self, message: Bind) -> None:
        prepared = self._statement(message.statement)
        if self.state == "E" and not prepared.ends_failure:
            raise _failed_before()
        await self.hold(message.portal, bound(prepared, message))
        self._send(protocol.BOUND)

    def _statement(self, name: str) -> Ready:
        if name not in self._statements:
            said = (
                f'prepared statement "{name}" does not exist' if name else "unnamed prepared statement does not exist"
            )
            raise WireError("26000", said)
        return self._statements[name]

    def _describe(self, message: Describe) -> None:
        if message.kind == "S":
            prepared = self._statement(message.name)
            formats: tuple[int, ...] = (0,) * len(prepared.columns or ())
            self._send(protocol.parameter_description([one.oid for one in prepared.parameters]))
        else:
            portal = self.portal(message.name)
            prepared, formats = portal.prepared, portal.formats
        if prepared.columns is None:
            self._send(protocol.NO_DATA)
        else:
            shown = [one.shown(form) for one, form in zip(prepared.columns, formats, strict=True)]
            self._send(protocol.row_description(shown))

    async def _execute(self, message: Execute) -> None:
        portal = self.portal(message.portal)
        if portal.prepared.statement is None:
            self._send(protocol.EMPTY_QUERY)
            return
        if self.state == "E" and not portal.prepared.ends_failure:
            raise _failed_before()
        if portal.done is None:
            portal.begun(await self._stop.unless(portal.prepared.run(portal.values)))
        elif portal.done.answered is None:
            raise WireError("55000", f'portal "{message.portal}" cannot be run')
        await self._give(portal, max(message.rows, 0))

    # rows

    async def _give(self, portal: Portal, most: int) -> None:
        """Sends rows of an answer, at most so many (0: all), and says what was done."""
        done = portal.done or Done("")
        if done.answered is None:
            self._send(protocol.complete(done.tag))
            return
        self.variables.note("seamline.provenance", done.answered.provenance)
        for warning in done.answered.warnings if portal.tagged == 0 else ():
            self.notice(WireError("01000", warning, severity="WARNING"))
        if done.copy is not None:
            await self._copy(portal, done)
            return
        limits = [
            one for one in (most or None, None if done.most is None else done.most - portal.tagged) if one is not None
        ]
        limit = min(limits) if limits else None
        count, ended = await self._rows(portal, done, limit)
        portal.took(count)
        if most and not ended and count >= most:
            self._send(protocol.SUSPENDED)
        else:
            shown = portal.tagged if done.most is not None or not most else count
            self._send(protocol.complete(done.tag.format(shown)))

    async def _rows(self, portal: Portal, done: Done, limit: int | None) -> tuple[int, bool]:
        """Sends rows; how many, and whether there are no more."""
        count, answered = 0, done.answered
        if answered is None:
            return 0, True
        columns = answered.columns
        kinds = [one.kind for one in columns]
        while limit is None or count < limit:
            batch = await self._next(done, AT_ONCE if limit is None else min(AT_ONCE, limit - count))
            if batch is None:
                return count, True
            count += batch.num_rows
            if not done.unseen:
                rows = as_described(batch, columns, done.of_catalogue)
                self._send(data_rows(rows, kinds, portal.formats or (0,) * len(kinds)))
                await self._stop.unless(self._flush())
        return count, False

    async def _next(self, done: Done, most: int) -> pa.RecordBatch | None:
        if done.answered is None:
            raise TerminalError(Condition.UNEXPECTED, "rows of what has none")
        return await self._stop.unless(done.answered.next(most))

    async def _copy(self, portal: Portal, done: Done) -> None:
        answered, copy = done.answered, done.copy
        if answered is None or copy is None:
            return
        kinds = [one.kind for one in answered.columns]
        self._send(protocol.copy_out(len(kinds), int(copy.format == "binary")))
        begun = copy.begun(answered.columns)
        while (batch := await self._next(done, AT_ONCE)) is not None:
            rows = as_described(batch, answered.columns, done.of_catalogue)
            self._send(copy_data(begun, copy.written(rows, kinds)))
            begun = b"" if rows.num_rows else begun
            portal.took(rows.num_rows)
            await self._stop.unless(self._flush())
        if begun or copy.ended:
            self._send(copy_data(begun, filter(None, [copy.ended])))
        self._send(protocol.COPY_DONE + protocol.complete(done.tag.format(portal.tagged)))


_AFTER_FAILURE = ("COMMIT", "END", "ROLLBACK", "ABORT")


def _failed_before() -> WireError:
    return WireError("25P02", "current transaction is aborted, commands ignored until end of transaction block")
