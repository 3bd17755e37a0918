"""A place in an error is one in what the client wrote, whatever was rewritten before it."""

from __future__ import annotations

import psycopg
import pytest
from wire_fixtures import Both


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nope FROM public.sales",
        "SELECT * FROM seamline.public.sales WHERE public.sales.shop = 'a' AND nope = 1",
        "SELECT to_char(hour, 'YYYY-MM-DD'), btrim(shop), nope FROM sales",
        "SELECT 1\nFROM public.sales\nWHERE shop = $1 AND orders > $2 AND nope = $1",
    ],
)
def test_an_error_points_at_what_was_written(both: Both, sql: str) -> None:
    with psycopg.connect(both.port.url) as connection:
        values = [b"a", b"1"][: sql.count("$1") and 2]
        found = connection.pgconn.exec_params(sql.encode(), values)
        said = found.error_field(psycopg.pq.DiagnosticField.STATEMENT_POSITION)
        assert said is not None
        assert sql[int(said) - 1 :].startswith("nope")
