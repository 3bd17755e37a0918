"""Statements that are no query: one entry each by the first word. What would write is refused
as PostgreSQL's standbys do.

Each prepares: it looks at the words, and gives what is done when the statement is run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import pyarrow as pa

from seamline.serving.wire import kinds
from seamline.serving.wire.copying import read_copy
from seamline.serving.wire.cut import Statement, name_of, syntax_error
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.portals import Done, Portal, Ready, nothing
from seamline.serving.wire.questions import Answered, Questions
from seamline.serving.wire.rows import WireColumn
from seamline.serving.wire.variables import Variables, is_utc

QUERIES = frozenset(["SELECT", "WITH", "VALUES", "TABLE", "FROM", "("])

_WRITES_TEXT = """
INSERT UPDATE DELETE MERGE CREATE ALTER DROP TRUNCATE GRANT REVOKE COMMENT VACUUM ANALYZE REINDEX CLUSTER LOCK
CALL DO REFRESH IMPORT SECURITY REASSIGN CHECKPOINT
"""
WRITES = frozenset(_WRITES_TEXT.split())
"""Statements that change something: 25006."""

_OTHERS_TEXT = """
EXPLAIN PREPARE EXECUTE LISTEN NOTIFY LOAD ATTACH DETACH USE PRAGMA INSTALL DESCRIBE EXPORT
"""
OTHERS = frozenset(_OTHERS_TEXT.split())
"""What stands nowhere else, and is not done here: 0A000."""


class Talk(Protocol):
    """What a statement may do to its session."""

    state: str
    """I: idle, T: in a transaction, E: in one that failed."""

    variables: Variables
    questions: Questions
    user: str

    def notice(self, error: WireError) -> None:
        """Tells the client."""
        ...

    def portal(self, name: str) -> Portal:
        """One by its name. Raises WireError 34000."""
        ...

    async def hold(self, name: str, portal: Portal) -> None:
        """Keeps one by a name that none has. Raises WireError."""
        ...

    async def drop(self, name: str | None) -> None:
        """Closes a portal, or all."""
        ...

    async def end(self, undone: bool) -> None:
        """Ends a transaction."""
        ...

    def begin(self) -> None:
        """Begins one."""
        ...

    def recover(self) -> None:
        """Goes on in one that failed, from a savepoint."""
        ...

    def forget(self, name: str | None) -> None:
        """Forgets a prepared statement, or all. Raises WireError 26000."""
        ...

    def told(self) -> None:
        """The client is told of settings that it follows."""
        ...


Making = Callable[[Talk, Statement, Sequence[int]], Awaitable[Ready]]


async def prepare(talk: Talk, statement: Statement | None, declared: Sequence[int] = ()) -> Ready:
    """A statement, ready to be run. Raises WireError, SeamlineError."""
    if statement is None:
        return Ready(None, nothing, ends_failure=True)
    verb = statement.verb
    if verb in QUERIES:
        return await _query(talk, statement, declared)
    if verb in COMMANDS:
        return await COMMANDS[verb](talk, statement, declared)
    if verb in WRITES:
        raise WireError("25006", f"cannot execute {verb} in a read-only transaction", hint="views are made of events")
    if verb in OTHERS:
        raise WireError("0A000", f"{verb} is not served", hint="docs/postgres.md lists what is")
    raise syntax_error(statement, statement.tokens[0])


async def _query(talk: Talk, statement: Statement, declared: Sequence[int]) -> Ready:
    question = await talk.questions.prepare(statement, declared, talk.variables)

    async def run(values: Sequence[Any]) -> Done:
        answered = await talk.questions.ask(question, values, talk.variables)
        return Done("SELECT {}", answered, of_catalogue=question.of_catalogue)

    return Ready(statement, run, question.parameters, question.columns)


def _simply(does: Callable[[Talk, Statement], Awaitable[str]], ends_failure: bool = False) -> Making:
    """A command without rows: what it does gives its tag."""

    async def made(talk: Talk, statement: Statement, declared: Sequence[int]) -> Ready:
        del declared

        async def run(values: Sequence[Any]) -> Done:
            del values
            return Done(await does(talk, statement))

        return Ready(statement, run, ends_failure=ends_failure)

    return made


# transactions


def _modes(statement: Statement, at: int, talk: Talk) -> None:
    """READ ONLY, ISOLATION LEVEL …, DEFERRABLE. Raises WireError for what cannot be."""
    words = [one for one in statement.words[at:] if one != ","]
    text = " ".join(words)
    if "READ WRITE" in text:
        raise WireError("0A000", "cannot set transaction read-write mode: nothing can be written here")
    if "ISOLATION LEVEL" in text:
        level = text.partition("ISOLATION LEVEL ")[2]
        for name in ("READ COMMITTED", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
            if level.startswith(name):
                talk.variables.set("transaction_isolation", name.lower(), local=True)
                text = text.replace(f"ISOLATION LEVEL {name}", "")
    if set(text.split()) - {"READ", "ONLY", "NOT", "DEFERRABLE", "WORK", "TRANSACTION"}:
        raise syntax_error(statement, statement.tokens[at])


async def _begin(talk: Talk, statement: Statement) -> str:
    _modes(statement, 1, talk)
    if talk.state == "T":
        talk.notice(WireError("25001", "there is already a transaction in progress", severity="WARNING"))
    else:
        talk.begin()
    return "BEGIN" if statement.verb == "BEGIN" else "START TRANSACTION"


async def _commit(talk: Talk, statement: Statement) -> str:
    _chained(statement)
    if talk.state == "I":
        talk.notice(WireError("25P01", "there is no transaction in progress", severity="WARNING"))
    failed = talk.state == "E"
    await talk.end(undone=failed)
    return "ROLLBACK" if failed else "COMMIT"


async def _rollback(talk: Talk, statement: Statement) -> str:
    words = [one for one in statement.words[1:] if one not in ("WORK", "TRANSACTION", "SAVEPOINT")]
    if words[:1] == ["TO"]:
        if talk.state == "I":
            raise WireError("25P01", "ROLLBACK TO SAVEPOINT can only be used in transaction blocks")
        talk.recover()
        return "ROLLBACK"
    _chained(statement)
    if talk.state == "I":
        talk.notice(WireError("25P01", "there is no transaction in progress", severity="WARNING"))
    await talk.end(undone=True)
    return "ROLLBACK"


def _chained(statement: Statement) -> None:
    if set(statement.words[1:]) - {"WORK", "TRANSACTION"}:
        raise syntax_error(statement, statement.tokens[1])


async def _savepoint(talk: Talk, statement: Statement) -> str:
    if talk.state == "I":
        raise WireError("25P01", f"{statement.verb} SAVEPOINT can only be used in transaction blocks")
    return statement.verb


# settings


async def _set(talk: Talk, statement: Statement) -> str:
    words, at, local = statement.words, 1, False
    if statement.has("SESSION", "CHARACTERISTICS", "AS", "TRANSACTION", at=1):
        _modes(statement, 5, talk)
        return "SET"
    if words[1:2] in (("SESSION",), ("LOCAL",)) and len(words) > 3 and words[2] != "AUTHORIZATION":
        at, local = 2, words[1] == "LOCAL"
    if words[at : at + 1] == ("TRANSACTION",):
        _modes(statement, at + 1, talk)
        return "SET"
    if local and talk.state == "I":
        talk.notice(WireError("25P01", "SET LOCAL can only be used in transaction blocks", severity="WARNING"))
    name, value = _assigned(talk, statement, at)
    if name is not None:
        talk.variables.set(name, value, local)
        _zone_told(talk, name, value)
        talk.told()
    return "SET"


def _zone_told(talk: Talk, name: str, value: str | None) -> None:
    if name.lower() == "timezone" and value is not None and not is_utc(value):
        talk.notice(zone_notice(value))


def zone_notice(value: str) -> WireError:
    """What is said where a client would have another zone."""
    return WireError(
        "01000", f'the time zone "{value}" changes nothing: times are told in UTC', severity="WARNING",
        hint="write time AT TIME ZONE 'zone' in the query",
    )  # fmt: skip


def _assigned(talk: Talk, statement: Statement, at: int) -> tuple[str | None, str | None]:
    """The name and value of a SET; no name where it changes nothing."""
    words, found = statement.words, statement.tokens
    if statement.has("TIME", "ZONE", at=at):
        return "TimeZone", _value(statement, at + 2)
    if words[at : at + 1] == ("NAMES",):
        return "client_encoding", _value(statement, at + 1)
    if words[at : at + 1] == ("ROLE",) or statement.has("SESSION", "AUTHORIZATION", at=at):
        who = _value(statement, at + (1 if words[at] == "ROLE" else 2))
        if who not in (None, "none", talk.user):
            raise WireError("42501", f'permission denied to set role "{who}"')
        return None, None
    if at >= len(found):
        raise syntax_error(statement)
    name = name_of(found[at])
    while at + 2 < len(found) and found[at + 1].sign == ".":
        name, at = f"{name}.{name_of(found[at + 2])}", at + 2
    if at + 1 >= len(found) or words[at + 1] not in ("TO", "="):
        raise syntax_error(statement, found[at + 1] if at + 1 < len(found) else None)
    return name, _value(statement, at + 2)


def _value(statement: Statement, at: int) -> str | None:
    """What is set: a list is one text. None for DEFAULT."""
    found = statement.tokens[at:]
    if not found:
        raise syntax_error(statement)
    if len(found) == 1 and statement.words[at] in ("DEFAULT", "LOCAL"):
        return None
    pieces, sign = list[str](), ""
    for token in found:
        if token.sign in ("-", "+"):
            sign = token.sign
        elif token.sign == ",":
            pieces.append(", ")
        elif token.kind in ("word", "name", "string", "literal"):
            pieces.append(sign + (name_of(token) if token.kind != "literal" else token.text))
            sign = ""
        else:
            raise syntax_error(statement, token)
    return "".join(pieces)


async def _reset(talk: Talk, statement: Statement) -> str:
    if statement.has("ALL", at=1):
        talk.variables.reset()
    elif not (statement.has("ROLE", at=1) or statement.has("SESSION", "AUTHORIZATION", at=1)):
        talk.variables.set(_dotted(statement, 1), None)
    talk.told()
    return "RESET"


async def _discard(talk: Talk, statement: Statement) -> str:
    what = statement.words[1] if len(statement.words) == 2 else ""
    if what not in ("ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY"):
        raise syntax_error(statement, statement.tokens[1] if len(statement.tokens) > 1 else None)
    if what == "ALL":
        if talk.state != "I":
            raise WireError("25001", "DISCARD ALL cannot run inside a transaction block")
        await talk.drop(None)
        talk.forget(None)
        talk.variables.reset()
        talk.told()
    return f"DISCARD {'TEMP' if what == 'TEMPORARY' else what}"


def _dotted(statement: Statement, at: int) -> str:
    found = statement.tokens[at:]
    if not found:
        raise syntax_error(statement)
    if statement.has("TIME", "ZONE", at=at):
        return "TimeZone"
    if statement.has("TRANSACTION", "ISOLATION", "LEVEL", at=at):
        return "transaction_isolation"
    return ".".join(name_of(one) for one in found if one.sign != ".")


async def _show(talk: Talk, statement: Statement, declared: Sequence[int]) -> Ready:
    del declared
    if statement.has("ALL", at=1):
        columns = tuple(WireColumn(name, kinds.TEXTUAL) for name in ("name", "setting", "description"))
    else:
        columns = (WireColumn(talk.variables.named(_dotted(statement, 1)), kinds.TEXTUAL),)

    async def run(values: Sequence[Any]) -> Done:
        del values
        if len(columns) == 1:
            return Done("SHOW", texts(columns, [(talk.variables.get(columns[0].name),)]))
        return Done("SHOW", texts(columns, [(name, value, "") for name, value in talk.variables.all().items()]))

    return Ready(statement, run, columns=columns)


def texts(columns: tuple[WireColumn, ...], rows: Sequence[tuple[str, ...]]) -> Answered:
    """A small answer of texts."""
    arrays = [pa.array(list(column), pa.string()) for column in zip(*rows, strict=True)]

    async def once() -> AsyncIterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_arrays(arrays, names=[one.name for one in columns])

    return Answered(columns, once())


# cursors


async def _declare(talk: Talk, statement: Statement, declared: Sequence[int]) -> Ready:
    words = statement.words
    if "CURSOR" not in words[2:] or "FOR" not in words[2:]:
        raise syntax_error(statement)
    name, options, at = name_of(statement.tokens[1]), words[2 : words.index("CURSOR", 2)], words.index("FOR", 2)
    holds = words[at - 2 : at] == ("WITH", "HOLD")
    if "BINARY" in options:
        raise WireError("0A000", "DECLARE … BINARY CURSOR", hint="FETCH in the binary format instead")
    query = await prepare(talk, statement.after(at + 1), declared)
    if query.columns is None:
        raise syntax_error(statement, statement.tokens[at + 1])

    async def run(values: Sequence[Any]) -> Done:
        if talk.state == "I" and not holds:
            raise WireError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
        done = await query.run(values)
        portal = Portal(query, tuple(values), (0,) * len(query.columns or ()), done, holds=holds)
        await talk.hold(name, portal)
        return Done("DECLARE CURSOR")

    return Ready(statement, run, query.parameters)


def _counted(statement: Statement) -> tuple[int | None, str]:
    """How many rows a FETCH or MOVE takes (None: all), and of which cursor."""
    words, found = statement.words, statement.tokens
    if len(found) < 2:
        raise syntax_error(statement)
    count: int | None = 1
    said = [one for one in words[1:-1] if one not in ("FROM", "IN")]
    if said[:1] == ["FORWARD"]:
        said = said[1:]
    if said == ["ALL"]:
        count = None
    elif len(said) == 1 and said[0].isdecimal():
        count = int(said[0][:12])
    elif said not in ([], ["NEXT"]):
        known = {"BACKWARD", "PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "-"} & set(said)
        if known:
            raise WireError("55000", "cursor can only scan forward", hint="FETCH FORWARD n, or ALL")
        raise syntax_error(statement, found[1])
    return count, name_of(found[-1])


async def _fetch(talk: Talk, statement: Statement, declared: Sequence[int]) -> Ready:
    del declared
    count, name = _counted(statement)
    moves = statement.verb == "MOVE"
    columns = talk.portal(name).prepared.columns

    async def run(values: Sequence[Any]) -> Done:
        del values
        portal = talk.portal(name)
        if portal.done is None or portal.done.answered is None:
            raise WireError("34000", f'cursor "{name}" does not give rows')
        tag = "MOVE {}" if moves else "FETCH {}"
        return replace(portal.done, tag=tag, most=count, keeps=True, unseen=moves)

    return Ready(statement, run, columns=None if moves else columns)


async def _close(talk: Talk, statement: Statement) -> str:
    if len(statement.tokens) != 2:
        raise syntax_error(statement)
    if statement.has("ALL", at=1):
        await talk.drop(None)
        return "CLOSE CURSOR ALL"
    name = name_of(statement.tokens[1])
    talk.portal(name)
    await talk.drop(name)
    return "CLOSE CURSOR"


async def _deallocate(talk: Talk, statement: Statement) -> str:
    name = statement.tokens[-1]
    if len(statement.tokens) < 2:
        raise syntax_error(statement)
    if statement.words[-1] == "ALL":
        talk.forget(None)
        return "DEALLOCATE ALL"
    talk.forget(name_of(name))
    return "DEALLOCATE"


async def _unlisten(talk: Talk, statement: Statement) -> str:
    del talk, statement
    return "UNLISTEN"


async def _copy(talk: Talk, statement: Statement, declared: Sequence[int]) -> Ready:
    del declared
    asked = read_copy(statement)
    query = await prepare(talk, asked.query)

    async def run(values: Sequence[Any]) -> Done:
        return replace(await query.run(values), tag="COPY {}", copy=asked)

    return Ready(statement, run)


COMMANDS: dict[str, Making] = {
    "BEGIN": _simply(_begin),
    "START": _simply(_begin),
    "COMMIT": _simply(_commit, ends_failure=True),
    "END": _simply(_commit, ends_failure=True),
    "ROLLBACK": _simply(_rollback, ends_failure=True),
    "ABORT": _simply(_rollback, ends_failure=True),
    "SAVEPOINT": _simply(_savepoint),
    "RELEASE": _simply(_savepoint),
    "SET": _simply(_set),
    "RESET": _simply(_reset),
    "DISCARD": _simply(_discard),
    "SHOW": _show,
    "DECLARE": _declare,
    "FETCH": _fetch,
    "MOVE": _fetch,
    "CLOSE": _simply(_close),
    "DEALLOCATE": _simply(_deallocate),
    "UNLISTEN": _simply(_unlisten),
    "COPY": _copy,
}
