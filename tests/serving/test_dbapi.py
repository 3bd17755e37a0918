"""`seamline.dbapi` is PEP 249: its public suite passes, and what the suite leaves open is held line by line."""

from __future__ import annotations

import re
import tempfile
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dbapi20
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from handmade import handmade_project, rows
from test_python_client import Project, project  # noqa: F401 - a fixture

from seamline import dbapi
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError

TABLE = "CREATE MATERIALIZED VIEW dbapi20test_{} AS SELECT {}, date_trunc('day', placed) AS day, count(*) AS n\
 FROM orders WHERE {} GROUP BY ALL"
BOOZE = TABLE.format("booze", "shop AS name", "NOT contains(shop, '|')")
DRINKS = "split_part(shop, '|', 1) AS name, nullif(split_part(shop, '|', 2), '') AS drink"
BARFLYS = TABLE.format("barflys", DRINKS, "contains(shop, '|')")
VALUE = re.compile(r"'((?:[^']|'')*)'|\?|NULL")


class Drinkers(dbapi.DbapiCursor):
    """What the suite inserts becomes an event, committed as an epoch; its tables are views, which are there."""

    def execute(self, operation: str, parameters: Any = (), *, as_of: int | None = None) -> dbapi.DbapiCursor:
        if not re.match("(insert|create|drop) ", operation):
            return super().execute(operation, parameters, as_of=as_of)
        self._open()
        self._result = None
        if operation.startswith("insert"):
            given = iter(parameters)
            found = [next(given) if one[0] == "?" else one[1] or "" for one in VALUE.finditer(operation)]
            made = PUB["made"]
            made.epoch([("|".join(found), 0, len(made.sent))])
        return self


class Bar(dbapi.DbapiConnection):
    def cursor(self) -> dbapi.DbapiCursor:
        return Drinkers(self, self.seamline)


PUB: dict[str, Any] = {}


class TestThePublicSuite(dbapi20.DatabaseAPI20Test):  # type: ignore[misc]
    driver = dbapi

    def setUp(self) -> None:
        PUB.clear()

    def tearDown(self) -> None:
        if PUB:
            PUB["folder"].cleanup()

    def _connect(self) -> dbapi.DbapiConnection:
        PUB["folder"] = tempfile.TemporaryDirectory()
        folder = Path(PUB["folder"].name)
        PUB["made"] = handmade_project(folder, BOOZE, BARFLYS)
        PUB["made"].epoch([])
        return Bar(dbapi.connect(folder).seamline)

    def test_executemany(self) -> None:
        """It is for writing."""
        with self._connect() as con, pytest.raises(dbapi.NotSupportedError):
            con.cursor().executemany("insert into dbapi20test_booze values (?)", [["a"]])

    def test_non_idempotent_close(self) -> None:
        """The suite's authors differ about it, and PEP 249 says nothing."""
        con = self._connect()
        con.close()
        con.close()

    def test_nextset(self) -> None:
        """An optional method, for answers of several sets."""
        assert not hasattr(dbapi.DbapiCursor, "nextset")

    def test_setoutputsize(self) -> None:
        """Optional too: it does nothing."""


@pytest.fixture(params=["folder", "url"])
def con(request: pytest.FixtureRequest, project: Project) -> Any:  # noqa: F811
    given = (project.folder, None) if request.param == "folder" else (project.url, project.token)
    with dbapi.connect(given[0], token=given[1]) as found:
        yield found


def test_columns_are_described_by_types_that_equal_their_kind(con: dbapi.DbapiConnection) -> None:
    cur = con.cursor()
    made = "orders > 1 AS b, hour::DATE AS d, 'x'::BLOB AS raw"
    cur.execute(f"SELECT hour, shop, orders, amount, mean, {made} FROM sales")
    kinds = [dbapi.STRING, dbapi.BINARY, dbapi.NUMBER, dbapi.DATETIME, dbapi.ROWID]
    assert cur.description is not None
    found = {name: [repr(kind) for kind in kinds if code == kind] for name, code, *_ in cur.description}
    number, when = ["NUMBER"], ["DATETIME"]
    assert found == {
        "hour": when, "shop": ["STRING"], "orders": number, "amount": number, "mean": number, "b": number, "d": when,
        "raw": ["BINARY"],
    }  # fmt: skip
    assert all(len(one) == 7 for one in cur.description)
    assert cur.description[3][4:6] == (38, 0)
    assert (cur.description[0][3], cur.description[1][3]) == (8, None)


def test_rows_come_in_order_by_every_way_to_fetch(con: dbapi.DbapiConnection, project: Project) -> None:  # noqa: F811
    truth = [(t["hour"], t["shop"], t["amount"]) for t in project.made.truth(project.made.sent)]
    cur = con.cursor().execute("SELECT hour, shop, amount FROM sales ORDER BY ALL")
    assert cur.rowcount == len(truth) == 15
    assert cur.rownumber == 0
    found = [cur.fetchone(), *cur.fetchmany(2), next(cur), *cur.fetchmany(-1), *cur.fetchmany(0)]
    assert cur.rownumber == 4
    found += [*cur]
    assert found == truth
    assert (cur.fetchone(), cur.fetchmany(3), cur.fetchall()) == (None, [], [])
    assert cur.execute("SELECT 1 AS x").fetch_arrow_table().to_pylist() == [{"x": 1}]
    assert cur.fetchall() == []


def test_values_are_bound_never_pasted(con: dbapi.DbapiConnection) -> None:
    cur = con.cursor()
    assert cur.execute("SELECT ? || 'x' AS x, ?::INT AS y", ("a'; --", 2)).fetchall() == [("a'; --x", 2)]
    since = dbapi.Timestamp(2024, 5, 1, tzinfo=UTC)
    assert cur.execute("SELECT min(hour) >= $t AS x FROM sales", {"t": since}).fetchall() == [(True,)]
    assert cur.execute("SELECT ?::DATE AS d", [dbapi.Date(2024, 5, 1)]).fetchone() == (date(2024, 5, 1),)
    assert cur.execute("SELECT sum(orders) AS n FROM sales", as_of=1).fetchone() == (Decimal(20),)


def test_an_answer_carries_its_proof(con: dbapi.DbapiConnection) -> None:
    cur = con.cursor().execute("SELECT sum(amounts) AS n FROM sales")
    assert cur.provenance["sales"]["reached"] == {"orders@id1": {"0": 40}}
    assert "MEASURE(amounts)" in cur.warnings[0]


WRONG = [
    ("SELEC", (), dbapi.ProgrammingError, "QUERY_INVALID"),
    ("SELECT * FROM sails", (), dbapi.ProgrammingError, "QUERY_INVALID"),
    ("SELECT ? AS x", (), dbapi.ProgrammingError, "INPUT_INVALID"),
    ("SELECT ? AS x", (b"x",), dbapi.ProgrammingError, "INPUT_INVALID"),
    ("DELETE FROM sales", (), dbapi.NotSupportedError, "QUERY_REFUSED"),
    ("SELECT getenv('HOME') AS x", (), dbapi.NotSupportedError, "QUERY_REFUSED"),
    ("SELECT sum(300::UTINYINT) AS n FROM sales", (), dbapi.ProgrammingError, "QUERY_INVALID"),
]


@pytest.mark.parametrize(("sql", "values", "kind", "condition"), WRONG)
def test_an_error_is_of_its_class_and_has_ours_as_its_cause(
    con: dbapi.DbapiConnection, sql: str, values: Any, kind: type, condition: str
) -> None:
    cur = con.cursor()
    cur.execute("SELECT 1 AS x")
    with pytest.raises(dbapi.Error) as caught:
        cur.execute(sql, values)
    assert (type(caught.value), caught.value.condition) == (kind, condition)
    assert isinstance(caught.value.__cause__, SeamlineError)
    assert str(caught.value) == str(caught.value.__cause__)
    assert cur.description is None
    with pytest.raises(dbapi.InterfaceError):
        cur.fetchall()  # not what was asked before


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TerminalError(Condition.SEAM_HOLE, "m"), dbapi.InternalError),
        (TransientError(Condition.VIEW_NOT_READY, "m"), dbapi.OperationalError),
        (TransientError(Condition.UNEXPECTED, "m"), dbapi.OperationalError),
        (UserError(Condition.QUERY_TIMEOUT, "m"), dbapi.OperationalError),
        (UserError(Condition.UNAUTHENTICATED, "m"), dbapi.OperationalError),
        (UserError(Condition.VALUE_OUT_OF_RANGE, "m"), dbapi.DataError),
    ],
)
def test_what_the_world_says_is_told_apart(error: SeamlineError, kind: type) -> None:
    assert type(dbapi.translated(error)) is kind


def test_a_broken_chain_gives_no_row(tmp_path: Path) -> None:
    made = handmade_project(tmp_path)
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    made.epoch(rows(10, 10), start=15)
    with dbapi.connect(tmp_path) as con, pytest.raises(dbapi.InternalError) as caught:
        con.cursor().execute("SELECT * FROM sales")
    assert caught.value.condition is Condition.SEAM_HOLE


def test_a_year_that_python_has_not_is_a_data_error(con: dbapi.DbapiConnection) -> None:
    cur = con.cursor().execute("SELECT '20000-01-01'::TIMESTAMP AS t")
    with pytest.raises(dbapi.DataError):
        cur.fetchone()
    assert cur.fetch_arrow_table().num_rows == 1


def test_what_is_closed_says_so(con: dbapi.DbapiConnection) -> None:
    cur = con.cursor()
    with cur:
        assert cur.execute("SELECT 1 AS x").lastrowid is None
    cur.close()
    other = con.cursor()
    con.close()
    for act in (cur.fetchone, lambda: cur.execute("SELECT 1"), lambda: other.execute("SELECT 1"), con.cursor,
                con.rollback, con.views, lambda: other.executemany("", [])):  # fmt: skip
        with pytest.raises(dbapi.InterfaceError):
            act()


def test_what_cannot_be_connected_to_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(dbapi.OperationalError) as caught:
        dbapi.connect(tmp_path)
    assert caught.value.condition is Condition.CONFIG_INVALID
    with pytest.raises(dbapi.ProgrammingError):
        dbapi.connect(tmp_path, token="seam_x")


def test_threads_share_a_connection(con: dbapi.DbapiConnection) -> None:
    found: list[Any] = []

    def ask(number: int) -> None:
        found.append(con.cursor().execute("SELECT ?::INT AS x, sum(orders)::INT AS n FROM sales", [number]).fetchone())

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(number, 40) for number in range(8)]


def test_ticks_are_counted_in_utc() -> None:
    assert dbapi.TimestampFromTicks(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert dbapi.DateFromTicks(86399.5) == date(1970, 1, 1)
    assert dbapi.TimeFromTicks(3600).hour == 1


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
def test_pandas_and_polars_read_by_it(con: dbapi.DbapiConnection) -> None:
    sql = "SELECT hour, shop, orders, amount FROM sales WHERE shop <> 'shop2' ORDER BY ALL"
    answer = con.seamline.query(sql)
    frame = pd.read_sql(sql.replace("'shop2'", "?"), con, params=["shop2"], coerce_float=False)
    assert [tuple(row) for row in frame.itertuples(index=False)] == answer.rows()
    wide = pl.read_database(sql, con)
    assert wide.rows() == answer.rows()
    assert wide.schema["amount"] == pl.Decimal(38, 0)


def test_every_page_of_rows_is_those_of_the_table(con: dbapi.DbapiConnection) -> None:
    cur = con.cursor().execute("SELECT shop, orders FROM sales ORDER BY ALL")
    parts = [*iter(lambda: cur.fetchmany(4), [])]
    assert [len(part) for part in parts] == [4, 4, 4, 3]
    table = cur.execute("SELECT shop, orders FROM sales ORDER BY ALL").fetch_arrow_table()
    assert isinstance(table, pa.Table)
    assert [row for part in parts for row in part] == [tuple(row.values()) for row in table.to_pylist()]
