"""`seamline://` from SQLAlchemy: views are reflected as tables, statements answer as plain SQL, and nothing writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pytest
import sqlalchemy as sa
from handmade import OTHER, handmade_project, rows
from sqlalchemy import exc, pool
from sqlalchemy.orm import DeclarativeBase, Session
from test_python_client import Project, project  # noqa: F401 - a fixture

import seamline
from seamline.client.dialect import sqltype

COMMENTED = """\
CREATE MATERIALIZED VIEW told (day, shop, amount COMMENT 'in cents') COMMENT 'what each shop sold' AS
SELECT date_trunc('day', placed) AS day, shop, sum(amount) AS amount FROM orders GROUP BY day, shop
"""


@pytest.fixture(scope="module", params=["folder", "url"])
def engine(request: pytest.FixtureRequest, project: Project) -> Iterator[sa.Engine]:  # noqa: F811
    role = sa.make_url(project.url.replace("http:", "seamline:")).set(password=project.token)
    engine = sa.create_engine(f"seamline:///{project.folder}" if request.param == "folder" else role)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def sales(engine: sa.Engine) -> sa.Table:
    return sa.Table("sales", sa.MetaData(), autoload_with=engine)


def test_views_are_reflected_as_tables(engine: sa.Engine) -> None:
    found = sa.MetaData()
    found.reflect(engine)
    assert [*found.tables] == ["sales", "shops"]
    columns = {column.name: repr(column.type) for column in found.tables["sales"].columns}
    assert columns == {
        "hour": "DateTime(timezone=True)", "shop": "String()", "orders": "BigInteger()",
        "amount": "Numeric(precision=38, scale=0)", "mean": "Double()", "amounts": "BigInteger()",
        "latest": "DateTime(timezone=True)",
    }  # fmt: skip
    info = found.tables["sales"].c.amounts.info
    assert info["exactness"] != "exact"
    assert info["bound"]
    assert not found.tables["sales"].primary_key.columns
    inspector = sa.inspect(engine)
    assert inspector.has_table("shops")
    assert not inspector.has_table("sails")
    assert inspector.get_view_names() == []
    assert inspector.get_table_names(schema="other") == []
    with pytest.raises(exc.NoSuchTableError):
        inspector.get_columns("sails")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DECIMAL(9,2)", "Numeric(precision=9, scale=2)"), ("HUGEINT", "Numeric(precision=39, scale=0)"),
        ("UUID", "Uuid()"), ("JSON", "JSON()"), ("VARCHAR[]", "ARRAY(String())"), ("INTERVAL", "NullType()"),
        ("STRUCT(a INTEGER)", "NullType()"), ("STRUCT(a INTEGER)[]", "NullType()"),
        ("UBIGINT", "Numeric(precision=20, scale=0)"),
    ],
)  # fmt: skip
def test_types_have_their_like(name: str, kind: str) -> None:
    assert repr(sqltype(name)) == kind


def test_statements_of_its_core_answer_as_plain_sql(engine: sa.Engine, sales: sa.Table, project: Project) -> None:  # noqa: F811
    day = sa.func.date_trunc("day", sales.c.hour)
    asked = (
        sa.select(day.label("day"), sales.c.shop, sa.func.sum(sales.c.amount).label("amount"))
        .where(sales.c.shop.in_(["shop1", "shop2"]), sales.c.orders >= 1, sales.c.shop.ilike("SHOP%"))
        .group_by(day, sales.c.shop)
        .having(sa.func.sum(sales.c.orders) > 0)
        .order_by(sales.c.shop.desc())
        .limit(5)
        .offset(0)
    )
    with seamline.connect(project.folder) as beside:
        truth = beside.query(
            "SELECT date_trunc('day', hour) AS day, shop, sum(amount) AS amount FROM sales WHERE shop <> 'shop0'"
            " GROUP BY ALL ORDER BY shop DESC"
        ).rows()
    with engine.connect() as connection:
        answer = connection.execute(asked)
        proof = answer.cursor.provenance  # type: ignore[union-attr]
        assert proof["sales"]["reached"] == {"orders@id1": {"0": 40}}
        assert [tuple(row) for row in answer] == truth
        assert len(truth) == 2
        cte = sa.select(sales.c.shop, sales.c.amount).where(sales.c.shop == "shop1").cte("one")
        joined = sa.select(sa.func.count()).select_from(cte.join(sales, sales.c.shop == cte.c.shop))
        assert connection.execute(joined).scalar_one() == 25
        text = sa.text("SELECT sum(amount) AS n FROM sales WHERE shop = :shop OR shop = :shop")
        assert connection.execute(text, {"shop": "shop1"}).scalar_one() == Decimal(sum(range(1, 40, 3)))


def test_its_orm_reads(engine: sa.Engine, sales: sa.Table) -> None:
    class Base(DeclarativeBase):
        pass

    class Sale(Base):
        __table__ = sales
        __mapper_args__ = {"primary_key": [sales.c.hour, sales.c.shop]}  # noqa: RUF012

    with Session(engine) as session:
        found = session.scalars(sa.select(Sale).where(Sale.shop == "shop1").order_by(Sale.hour)).all()  # type: ignore[attr-defined]
    assert [one.orders for one in found] == [2, 3, 3, 2, 3]  # type: ignore[attr-defined]


def test_what_would_write_is_refused(engine: sa.Engine, sales: sa.Table) -> None:
    refused: list[Any] = [sa.insert(sales).values(shop="x"), sa.delete(sales), sa.text("DROP TABLE sales")]
    for statement in refused:
        with engine.connect() as connection, pytest.raises(exc.NotSupportedError) as caught:
            connection.execute(statement)
        assert caught.value.orig is not None
        assert caught.value.orig.condition == "QUERY_REFUSED"  # type: ignore[attr-defined]
    with engine.begin() as connection, pytest.raises(exc.ProgrammingError):
        connection.execute(sa.text("SELECT * FROM sails"))


def test_pandas_and_polars_read_by_an_engine(engine: sa.Engine, sales: sa.Table) -> None:
    asked = sa.select(sales.c.shop, sales.c.orders).where(sales.c.shop == "shop1").order_by(sales.c.hour)
    assert [*pd.read_sql(asked, engine)["orders"]] == [2, 3, 3, 2, 3]
    assert pd.read_sql_table("shops", engine)["orders"].sum() == 40
    assert pl.read_database("SELECT sum(orders)::INT AS n FROM sales", engine).rows() == [(40,)]


def test_threads_share_one_reader_of_a_folder_and_a_pool_of_a_role(engine: sa.Engine) -> None:
    assert isinstance(engine.pool, pool.StaticPool | pool.QueuePool)
    found: list[int] = []

    def ask() -> None:
        with engine.connect() as connection:
            found.append(connection.execute(sa.text("SELECT sum(orders)::INT AS n FROM sales")).scalar_one())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [40] * 6


def test_a_token_is_in_no_text_of_its_url(project: Project) -> None:  # noqa: F811
    url = sa.make_url(project.url.replace("http:", "seamline:")).set(password="seam_wrong")
    engine = sa.create_engine(url)
    assert "seam_wrong" not in repr(engine)
    with pytest.raises(exc.OperationalError) as caught, engine.connect() as connection:
        connection.execute(sa.text("SELECT 1 AS x"))
    assert "seam_wrong" not in str(caught.value)
    assert caught.value.orig is not None
    assert caught.value.orig.condition == "UNAUTHENTICATED"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("seamline://:t@h:1/?tls=true&authority=a.pem", (["https://h:1"], {"token": "t", "authority": "a.pem"})),
        ("seamline://h", (["http://h"], {"token": None, "authority": None})),
        ("seamline://[::1]:2", (["http://[::1]:2"], {"token": None, "authority": None})),
        ("seamline:////srv/shop", (["/srv/shop"], {})),
        ("seamline://", (["."], {})),
    ],
)
def test_what_a_url_says(url: str, given: Any) -> None:
    parsed = sa.make_url(url)
    assert parsed.get_dialect()().create_connect_args(parsed) == given


@pytest.mark.parametrize("url", ["seamline://h?tls=maybe", "seamline://h?x=1", "seamline://user@h", "seamline://h/db"])
def test_what_a_url_cannot_say(url: str) -> None:
    with pytest.raises(exc.ArgumentError):
        sa.create_engine(url).connect()


def test_comments_are_reflected(tmp_path: Any) -> None:
    handmade_project(tmp_path, COMMENTED, OTHER).epoch(rows(3))
    engine = sa.create_engine(f"seamline:///{tmp_path}")
    with seamline.connect(tmp_path) as beside:
        (_, told) = beside.views()
    table = sa.Table("told", sa.MetaData(), autoload_with=engine)
    assert table.comment == told.comment == "what each shop sold"
    assert [column.comment for column in table.columns] == [None, None, "in cents"]
    engine.dispose()
