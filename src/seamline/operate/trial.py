"""A SELECT over one file of events, by the kernel alone: no project, no broker, no Spark."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seamline.errors import Condition, SeamlineError, UserError
from seamline.kernel import Kernel, Limits, Scratch, fold, kernel, literal, quote
from seamline.operate.contractinfer import draft_contract
from seamline.operate.event_files import EventFile
from seamline.operate.survey import BYTES, ROWS, record_table
from seamline.portions import in_portions, lists_of, portion_bytes
from seamline.schemas.contracts.contract import Contract, read_contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.contracts.infer import Draft
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.event_columns import POSITION
from seamline.schemas.views.parsed import ParsedView, parse
from seamline.schemas.views.reserved_words import explained
from seamline.schemas.views.source import Source, word
from seamline.serving.failures import said
from seamline.serving.guard import check, check_text
from seamline.sql import TREE

EVENTS = "events"
"""A name that stands for the file's contract whatever its own is."""

_HEAD = "CREATE MATERIALIZED VIEW answer AS "


@dataclass(frozen=True)
class Decoded:
    """What became of a file's records (law 3: records = counted + rejected + copies + unclaimed)."""

    files: tuple[str, ...]
    """Parquet: positions and fields of those that the contract accepts."""

    records: int
    unclaimed: int
    rejected: Counter[str] = field(hash=False)


@dataclass(frozen=True)
class Trial:
    """An answer, and what it rests on."""

    table: pa.Table
    contract: Contract

    draft: Draft | None
    """Where the contract was made from the file."""

    definition: Definition | None
    """None where the SELECT is no view's."""

    no_view: str
    """Why it is none."""

    decoded: Decoded
    copies: int


@dataclass(frozen=True)
class _Question:
    """A SELECT that can be answered: as a view's, or as it stands over the events."""

    sql: str
    definition: Definition | None
    no_view: str = ""


def try_file(path: Path, sql: str, now: datetime, contract_file: Path | None = None) -> Trial:
    """Answers one SELECT over the events of a file, each event once.

    A view's SELECT, or its whole statement, is compiled and computed as both layers do it; another one runs over the
    events as it stands.
    The file is read once, and its first records before that where there is no contract. Time follows the records;
    memory is the kernel's, which spills. Raises UserError: INPUT_INVALID, CONTRACT_INVALID, VIEW_INVALID, QUERY_*.
    """
    draft, contract = (None, read_contract(contract_file)) if contract_file else draft_contract([path])
    contract = _as_named(contract, sql)
    question = _question(sql, contract)
    with tempfile.TemporaryDirectory(prefix="seamline-try-") as folder:
        limits = Limits(folders=(folder,), threads=os.cpu_count() or 2)
        with closing(Kernel(limits)) as engine:
            decoded = _decode(path, contract, engine, now, Path(folder))
            with engine.scratch(_once(contract), {"decoded": decoded.files}) as events:
                kept = engine.run("SELECT count(*) FROM events", {"events": events}).column(0)[0].as_py()
                table = _answer(question, contract, engine, events)
    copies = decoded.records - decoded.unclaimed - decoded.rejected.total() - kept
    return Trial(table, contract, draft, question.definition, question.no_view, decoded, copies)


# --- the question ----------------------------------------------------------------------------------------


def _as_named(contract: Contract, sql: str) -> Contract:
    """The contract, called `events` where the SELECT calls it so and not by its name. Raises VIEW_INVALID."""
    found = Source(sql, "SQL").tokens()
    read = {name.text.lower() for before, name in pairwise(found) if word(before) in ("from", "join")}
    return replace(contract, name=EVENTS) if EVENTS in read and contract.name.lower() not in read else contract


def _question(sql: str, contract: Contract) -> _Question:
    """Raises the view's error where the SELECT is neither a view's nor a query over the events."""
    sql = sql.rstrip().removesuffix(";")
    tokens = Source(sql, "SQL").tokens()
    if not tokens or word(tokens[0]) not in ("select", "create"):
        _check_plain(sql, contract)
        return _Question(sql, None, "it does not begin with SELECT")
    head = "" if word(tokens[0]) == "create" else _HEAD
    source = Source(head + sql, "SQL", column=1 - len(head))
    try:
        return _Question(sql, compile_view(_parsed(source), contract, timeless=True))
    except UserError as error:
        try:
            _check_plain(sql, contract)
        except SeamlineError:
            raise error from None
        return _Question(sql, None, error.message)


def _parsed(source: Source) -> ParsedView:
    try:
        return parse(source)
    except UserError as error:
        raise explained(source, error, parse) from error


def _check_plain(sql: str, contract: Contract) -> None:
    """One SELECT over the events with a query's functions, that binds. Raises UserError QUERY_*."""
    check_text(sql)
    asked = check(sql, str(kernel().run(TREE.replace("?", literal(sql))).column(0)[0].as_py()))
    for one in asked.references:
        if one.name != fold(contract.name):
            raise UserError(
                Condition.QUERY_REFUSED,
                f"{one.name} is not in the file",
                detail=f"{contract.name}, or {EVENTS}",
                hint=f"write FROM {contract.name}",
                where=one.where,
            )
    none = pa.table({one.name: pa.array([]) for one in contract.fields})
    shape = ", ".join(f"NULL::{one.sql_type} AS {quote(one.name)}" for one in contract.fields)
    typed = kernel().run(f"SELECT {shape} FROM none WHERE false", {"none": none})
    try:
        kernel().describe(sql, {contract.name: typed})
    except duckdb.Error as error:
        raise said(error, 0) from error


# --- the events ------------------------------------------------------------------------------------------


def _decode(path: Path, contract: Contract, engine: Kernel, now: datetime, folder: Path) -> Decoded:
    """Every record of the file, decoded as both layers do it, were it sent `now`; what is accepted goes to Parquet."""
    statement = decode_statement(contract)
    columns = [*POSITION, *(one.name for one in contract.fields)]
    files: list[str] = []
    rejected: Counter[str] = Counter()
    records = claimed = 0
    with EventFile(path) as file:
        for values in chain([[]], lists_of(file.read(contract).records, ROWS, BYTES)):
            table = record_table(values, now)
            offsets = pa.array(range(records, records + len(values)), pa.int64())
            table = table.set_column(table.column_names.index("offset"), "offset", offsets)
            records += len(values)
            run = in_portions(lambda one: engine.run(statement, {"records": one}), table, portion_bytes(engine))
            for found in run:
                claimed += found.num_rows
                rejected.update(one for one in found["_reject"].to_pylist() if one is not None)
                files.append(str(folder / f"{len(files)}.parquet"))
                pq.write_table(found.filter(pc.is_null(found["_reject"])).select(columns), files[-1])
    return Decoded(tuple(files), records, records - claimed, rejected)


def _once(contract: Contract) -> str:
    """`decoded` in the file's order, of the records with one event id and event time the first, as batch counts."""
    head = "SELECT * FROM decoded"
    if contract.event_id:
        id_, time = quote(contract.event_id), quote(contract.event_time)
        first = f"row_number() OVER (PARTITION BY {id_}, {time} ORDER BY _offset) = 1"
        head += f" QUALIFY {id_} IS NULL OR {first}"
    return f"{head} ORDER BY _offset"


def _answer(question: _Question, contract: Contract, engine: Kernel, events: Scratch) -> pa.Table:
    """Raises UserError VALUE_OUT_OF_RANGE, or QUERY_INVALID where the SELECT fails on a value."""
    definition = question.definition
    try:
        if definition is None:
            fields = ", ".join(quote(one.name) for one in contract.fields)
            with engine.scratch(f"SELECT {fields} FROM events ORDER BY _offset", {"events": events}) as shown:
                return engine.run(question.sql, {contract.name: shown})
        partials = engine.run(definition.partials[contract.name], {"events": events})
        keys = [quote(one.name) for one in definition.columns if not one.aggregate]
        order = f"\nORDER BY {', '.join(keys)}" if keys else ""
        finished = f"SELECT * FROM (\n{definition.merge_and_finalise}\n){order}"
        return engine.run(finished, {"partials": partials})
    except SeamlineError as error:
        if isinstance(error.__cause__, duckdb.Error) and error.condition == Condition.KERNEL_FAILED:
            raise said(error.__cause__, 0) from error
        raise
