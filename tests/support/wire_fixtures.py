"""What tests of the wire share: PostgreSQL 15 as the oracle, and the port over the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from handmade import rows
from postgres import running_postgres
from wireport import Port, open_wire

TABLE = """
CREATE TABLE sales (hour timestamptz, shop text, orders bigint, amount numeric(38,0), mean float8, latest timestamptz);
COMMENT ON TABLE sales IS 'Sales by hour and shop';
GRANT ALL ON sales TO PUBLIC;
"""


@dataclass(frozen=True)
class Both:
    """PostgreSQL 15 with a table `sales`, and the port with a view of that name: the same rows."""

    postgres: int
    port: Port

    def urls(self) -> tuple[str, str]:
        return f"postgresql://me@127.0.0.1:{self.postgres}/seamline", self.port.url

    @contextmanager
    def connected(self) -> Iterator[tuple[Any, Any]]:
        """A connection to each."""
        theirs, ours = self.urls()
        with psycopg.connect(theirs, autocommit=True) as there, psycopg.connect(ours, autocommit=True) as here:
            yield there, here


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("wire")
    with open_wire(folder / "lake", rows(300)) as port, running_postgres() as postgres:
        admin = f"postgresql://postgres@127.0.0.1:{postgres}"
        with psycopg.connect(f"{admin}/postgres", autocommit=True) as made:
            made.execute("CREATE ROLE me LOGIN")
            made.execute("CREATE DATABASE seamline OWNER me")
        with psycopg.connect(port.url) as ours, psycopg.connect(f"{admin}/seamline", autocommit=True) as made:
            made.execute(TABLE)
            with made.cursor().copy("COPY sales FROM STDIN") as into, ours.cursor().copy("COPY sales TO STDOUT") as out:
                for piece in out:
                    into.write(piece)
        yield Both(postgres, port)
