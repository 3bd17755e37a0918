"""The same session of each client, on PostgreSQL 15 and on the port: the rows, types and errors are the same."""

from __future__ import annotations

import asyncio
import io
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pg8000.dbapi
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from wire_fixtures import Both

HOUR = datetime(2024, 5, 1, 2, tzinfo=UTC)

PSQL = {
    "tables": r"\dt", "relations": r"\d", "views": r"\dv", "indexes": r"\di", "schemas": r"\dn", "functions": r"\df",
    "extensions": r"\dx", "a setting": r"\dconfig work_mem", "a query": "SELECT shop, sum(orders) AS orders FROM sales GROUP BY shop ORDER BY shop",
    "expanded": r"SELECT * FROM sales ORDER BY hour, shop LIMIT 2 \gx", "copied": r"\copy (SELECT shop, hour, amount, mean FROM sales ORDER BY 1, 2) TO STDOUT CSV HEADER",
    "described": "SELECT shop, hour, orders, amount, mean FROM sales \\gdesc",
    "a crosstab": r"SELECT shop, hour, orders FROM sales WHERE orders > 2 ORDER BY 1, 2 \crosstabview",
    "variables": r"\set n 3" + "\nSELECT count(*) AS n FROM sales WHERE orders > :n", "a table": r"\d sales",
    "rows in parts": "\\set FETCH_COUNT 4\nSELECT shop, hour FROM sales ORDER BY shop, hour;",
    "an error": "SELECT nope FROM sales",
}  # fmt: skip

DIFFERENT = {
    "tables": "the owner is seamline", "relations": "the owner is seamline", "schemas": "the owner is seamline",
    "extensions": "none, not even plpgsql", "an error": "the engine's words",
}  # fmt: skip
"""What psql shows otherwise, and why."""


def psql(url: str, text: str) -> str:
    done = subprocess.run(
        ["psql", "-X", "-q", url], input=text + "\n", capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", PSQL)
def test_psql(both: Both, name: str) -> None:
    theirs, ours = (psql(url, PSQL[name]) for url in both.urls())
    assert theirs
    assert (theirs != ours) == (name in DIFFERENT), theirs + ours


def test_psql_shows_a_comment_and_an_owner(both: Both) -> None:
    assert "public | sales | table | seamline" in psql(both.port.url, r"\dt")
    assert "ERROR:  [QUERY_INVALID]" in psql(both.port.url, "SELECT nope FROM sales")


def told(run: Callable[[], Any]) -> Any:
    """What it gives, or the SQLSTATE of what it fails with."""
    try:
        return run()
    except (psycopg.Error, asyncpg.PostgresError) as error:
        return error.sqlstate


PSYCOPG: dict[str, Callable[[psycopg.Connection[Any]], Any]] = {
    "a parameter": lambda c: c.execute("SELECT * FROM sales WHERE shop = %s ORDER BY hour", ("shop1",)).fetchall(),
    "times": lambda c: c.execute("SELECT count(*) FROM sales WHERE hour >= %s AND orders > %s", (HOUR, 3)).fetchall(),
    "decimals": lambda c: c.execute("SELECT count(*) FROM sales WHERE amount > %s", (Decimal("100.5"),)).fetchall(),
    "a list": lambda c: c.execute("SELECT count(*) FROM sales WHERE shop = ANY(%s)", (["shop0", "shop1"],)).fetchall(),
    "a list of numbers": lambda c: c.execute("SELECT count(*) FROM sales WHERE orders = ANY(%s)", ([20, 2],)).fetchall(),
    "an empty list": lambda c: c.execute("SELECT count(*) FROM sales WHERE shop = ANY(%s)", ([],)).fetchall(),
    "null": lambda c: c.execute("SELECT %s::int, %s", (None, "x")).fetchall(),
    "limit": lambda c: c.execute("SELECT shop FROM sales ORDER BY hour, shop LIMIT %s OFFSET %s", (3, 1)).fetchall(),
    "every type": lambda c: c.execute(
        "SELECT %s::date, %s::uuid, %s::bytea, %s::float8, %s::bool, %s::timestamptz, %s::numeric(9,2)",
        (date(2024, 5, 1), UUID(int=7), b"\0x", 0.5, True, HOUR, Decimal("1.50")),
    ).fetchall(),
    "binary": lambda c: c.cursor(binary=True).execute("SELECT * FROM sales ORDER BY hour, shop").fetchall(),
    "columns": lambda c: [(one.name, one.type_code, one.precision, one.scale) for one in c.execute("SELECT * FROM sales").description or ()],
    "prepared": lambda c: [c.execute("SELECT count(*) FROM sales WHERE orders > %s", (n,), prepare=True).fetchone() for n in range(4)],
    "many": lambda c: c.cursor().executemany("SELECT count(*) FROM sales WHERE orders > %s", [(1,), (2,)]),
    "an unknown table": lambda c: c.execute("SELECT * FROM nope").fetchall(),
    "an unknown column": lambda c: c.execute("SELECT nope FROM sales").fetchall(),
    "a value out of range": lambda c: c.execute("SELECT %s::int2 FROM sales", ("99999",)).fetchall(),
    "a value that is none": lambda c: c.execute("SELECT %s::int FROM sales", ("x",)).fetchall(),
    "writing": lambda c: (c.execute("BEGIN READ ONLY"), told(lambda: c.execute("DELETE FROM sales")), c.execute("ROLLBACK"))[1],
    "a type": lambda c: str(psycopg.types.TypeInfo.fetch(c, "timestamptz")),
}  # fmt: skip


@pytest.mark.parametrize("name", PSYCOPG)
def test_psycopg(both: Both, name: str) -> None:
    with both.connected() as (theirs, ours):
        assert told(lambda: PSYCOPG[name](ours)) == told(lambda: PSYCOPG[name](theirs))


def test_psycopg_in_transactions_pipelines_cursors_and_copies(both: Both) -> None:
    def session(connection: psycopg.Connection[Any]) -> list[Any]:
        found: list[Any] = []
        with connection.transaction():
            try:
                with connection.transaction():
                    connection.execute("SELECT nope FROM sales")
            except psycopg.errors.UndefinedColumn as error:
                found.append(error.sqlstate)
            found.append(connection.info.transaction_status)
            with connection.cursor("named") as cursor:
                cursor.itersize = 4
                cursor.execute("SELECT shop, hour FROM sales WHERE orders > %s ORDER BY shop, hour", (1,))
                found += list(cursor)
        with connection.pipeline():
            waiting = [connection.execute("SELECT %s::int", (n,)) for n in range(3)]
        found += [one.fetchall() for one in waiting]
        for form in ("text", "binary"):
            with connection.cursor().copy(
                f"COPY (SELECT shop, orders, hour FROM sales ORDER BY 1, 3) TO STDOUT (FORMAT {form})"
            ) as copy:
                copy.set_types(["text", "int8", "timestamptz"])
                found += list(copy.rows())
        return found

    with both.connected() as (theirs, ours):
        assert session(ours) == session(theirs)


async def _asyncpg(url: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    found: list[Any] = [
        tuple(row.values())
        for row in await connection.fetch(
            "SELECT * FROM sales WHERE shop = $1 AND hour >= $2 ORDER BY hour", "shop0", HOUR
        )
    ]
    found.append(await connection.fetchval("SELECT count(*) FROM sales WHERE shop = ANY($1)", ["shop0"]))
    found.append(await connection.fetchval("SELECT count(*) FROM sales WHERE amount > $1", Decimal("99.5")))
    async with connection.transaction():
        found += [
            tuple(row.values())
            async for row in connection.cursor("SELECT shop, hour FROM sales ORDER BY shop, hour", prefetch=4)
        ]
    statement = await connection.prepare("SELECT hour, amount, shop FROM sales WHERE orders > $1 LIMIT $2")
    found += [(one.name, one.type.name) for one in statement.get_attributes()]
    found += [one.name for one in statement.get_parameters()]
    out = io.BytesIO()
    found.append(
        await connection.copy_from_query(
            "SELECT shop FROM sales WHERE orders > $1 ORDER BY 1", 3, output=out, format="csv"
        )
    )
    found.append(out.getvalue())
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.fetch("SELECT * FROM nope")
    await connection.reset()
    await connection.close()
    async with asyncpg.create_pool(url, min_size=2, max_size=2) as pool:
        found += await asyncio.gather(*(pool.fetchval("SELECT max(orders) FROM sales") for _ in range(6)))
    return found


def test_asyncpg(both: Both) -> None:
    theirs, ours = (asyncio.run(_asyncpg(url)) for url in both.urls())
    assert ours == theirs


def test_pg8000(both: Both) -> None:
    def session(port: int) -> list[Any]:
        connection = pg8000.dbapi.connect(host="127.0.0.1", port=port, user="me", database="seamline")
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM sales WHERE shop = %s AND orders > %s ORDER BY hour", ("shop0", 1))
        found = [cursor.description and [one[:2] for one in cursor.description], *cursor.fetchall()]
        connection.commit()
        connection.close()
        return found

    assert session(both.port.number) == session(both.postgres)


def reflected(url: str) -> list[Any]:
    engine = sa.create_engine(url)
    seen = sa.inspect(engine)
    found: list[Any] = [
        seen.get_table_names(), sorted(seen.get_schema_names()), seen.get_view_names(), seen.has_table("sales"), seen.has_table("nope"),
        [{**one, "type": repr(one["type"])} for one in seen.get_columns("sales")], seen.get_pk_constraint("sales"), seen.get_foreign_keys("sales"), seen.get_indexes("sales"),
        seen.get_unique_constraints("sales"), seen.get_check_constraints("sales"), seen.default_schema_name,
        seen.get_table_comment("sales"),
    ]  # fmt: skip
    tables = sa.MetaData()
    tables.reflect(engine)
    sales = tables.tables["sales"]
    asked = (
        sa.select(sales.c.shop, sa.func.sum(sales.c.orders).label("orders"), sa.func.max(sales.c.hour).label("hour"))
        .where(sales.c.shop.in_(["shop0", "shop1"]))
        .group_by(sales.c.shop)
        .order_by(sales.c.shop)
    )
    with engine.connect() as connection:
        found += [tuple(row) for row in connection.execute(asked)]
        found += [
            tuple(row)
            for row in connection.execution_options(stream_results=True, yield_per=4).execute(
                sa.select(sales.c.shop).order_by(sales.c.shop)
            )
        ]
    engine.dispose()
    return found


@pytest.mark.parametrize("driver", ["psycopg", "pg8000", "psycopg2"])
def test_sqlalchemy(both: Both, driver: str) -> None:
    theirs, ours = (url.replace("postgresql://", f"postgresql+{driver}://") for url in both.urls())
    assert reflected(ours) == reflected(theirs)


def test_sqlalchemy_over_asyncpg(both: Both) -> None:
    async def session(url: str) -> list[Any]:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.connect() as connection:
            names = await connection.run_sync(lambda inner: sa.inspect(inner).get_table_names())
            rows = await connection.execute(
                sa.text("SELECT shop, orders FROM sales WHERE orders > :n ORDER BY 1, 2"), {"n": 2}
            )
            found = [names, *map(tuple, rows)]
        await engine.dispose()
        return found

    theirs, ours = (asyncio.run(session(url)) for url in both.urls())
    assert ours == theirs


def test_a_query_is_cancelled_by_its_client(both: Both) -> None:
    with psycopg.connect(both.port.url, autocommit=True) as connection:
        timer = threading.Timer(
            0.3, connection.cancel_safe
        )  # cancel() holds Python's lock, and the port is in this process
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT count(*) FROM range(100000000) AS a, range(100000) AS b")
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
