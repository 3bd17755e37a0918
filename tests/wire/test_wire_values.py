"""Every type as PostgreSQL 15 writes it, byte by byte: one value in a query, asked of both, in text and in binary."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from wire_fixtures import Both

VALUES = """
true|false|NULL::boolean
0::int2|(-32768)::int2|1::int4|(-2147483648)::int4|9223372036854775807::int8|NULL::int8
1.5::float8|0.1::float8|1e15::float8|1e14::float8|123456789012345680::float8|1e-4::float8|1e-5::float8|-0.0::float8
'NaN'::float8|'Infinity'::float8|'-Infinity'::float8|1e300::float8|100::float8|5e-324::float8
0.1::float4|1e6::float4|123456::float4|1e-4::float4|1e-5::float4|16777216::float4|3.4e38::float4
1.50::numeric(5,2)|(-1.50)::numeric(5,2)|0::numeric(5,2)|12345678.90::numeric(20,2)|0.0001::numeric(10,4)
10000::numeric(10,0)|100000000::numeric(12,0)|(-99999999999999999999)::numeric(38,0)|NULL::numeric(3,1)
'text'|'ünïcödé ☃'|''|'a"b\\c'|'{a,b}'|E'tab\\tnew\\nline'
'2024-05-01'::date|'0001-01-01'::date|'9999-12-31'::date|'0044-03-15 (BC)'::date|'infinity'::date|'1969-12-31'::date
'2024-05-01 10:00:00'::timestamp|'2024-05-01 10:00:00.5'::timestamp|'1999-12-31 23:59:59.999999'::timestamp
'2024-05-01 10:00:00+00'::timestamptz|'2024-05-01 10:00:00.123456+02'::timestamptz|'infinity'::timestamptz
'12:34:56'::time|'00:00:00'::time|'23:59:59.999999'::time|'24:00:00'::time
interval '1 day'|interval '1 year 2 months 3 days'|interval '-1 day'|interval '1 hour 2 minutes 3.5 seconds'
interval '0 days'|interval '-2 hours'|interval '13 months'|interval '-13 months'
'8369011b-8004-4867-b9b4-d8890c2f05cc'::uuid|NULL::uuid
'{"a": [1, null, "x"]}'::json|'[]'::json
ARRAY[1,2,3]|ARRAY[NULL,1]|ARRAY['a','b c','d"e','NULL','','{x}','back\\slash']|ARRAY[true,false]
ARRAY[1.50::numeric(5,2)]|ARRAY['2024-05-01'::date]|ARRAY[1.5::float8]|NULL::int4[]
ARRAY['2024-05-01 10:00:00+00'::timestamptz]|ARRAY['8369011b-8004-4867-b9b4-d8890c2f05cc'::uuid]
"""

SPELT = {"'0044-03-15 (BC)'::date": "'0044-03-15 BC'::date"}
"""What PostgreSQL writes otherwise than DuckDB in a query."""

Told = list[tuple[int, int, bytes | None]]


def told(connection: psycopg.Connection[Any], expressions: list[str], binary: bool) -> Told:
    """Of each column its type, its modifier and its value, as they come over the wire."""
    columns = ", ".join(f"{one} AS c{n}" for n, one in enumerate(expressions))
    found = connection.pgconn.exec_params(f"SELECT {columns}".encode(), None, result_format=int(binary))
    assert not found.error_message, (expressions, found.error_message)
    return [(found.ftype(n), found.fmod(n), found.get_value(0, n)) for n in range(len(expressions))]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_a_value_is_told_as_postgres_tells_it(both: Both, binary: bool) -> None:
    with both.connected() as (theirs, ours):
        for line in VALUES.strip().splitlines():
            expressions = line.split("|")
            wanted = told(theirs, [SPELT.get(one, one) for one in expressions], binary)
            assert told(ours, expressions, binary) == wanted, expressions
