"""Every type of DuckDB as JSON, as CSV, as a terminal shows it, and as Arrow: nothing reads as something else."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from handmade import VIEW, Handmade, rows
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import Condition, SeamlineError
from seamline.serve_cli.query import distinct
from seamline.serving import encode
from seamline.serving.json_values import day_text, instant_text, interval_text, time_text
from seamline.serving.serving import Serving
from seamline.wording import cell as shown

NESTED = (
    "{'d': DATE 'infinity', 'l': [TIMESTAMP '2024-05-01 00:00:00', NULL], 'n': 'nan'::DOUBLE,"
    " 's': {'t': TIME '24:00:00'}}"
)
NESTED_JSON = {"d": "infinity", "l": ["2024-05-01T00:00:00", None], "n": "NaN", "s": {"t": "24:00:00"}}

TYPES: list[tuple[str, Any]] = [
    ("NULL", None),
    ("true", True),
    ("(-128)::TINYINT", -128),
    ("32767::SMALLINT", 32767),
    ("(-2147483648)::INTEGER", -2147483648),
    ("9223372036854775807::BIGINT", 9223372036854775807),
    ("255::UTINYINT", 255),
    ("65535::USMALLINT", 65535),
    ("4294967295::UINTEGER", 4294967295),
    ("18446744073709551615::UBIGINT", 18446744073709551615),
    ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
    ("-170141183460469231731687303715884105727::HUGEINT", "-170141183460469231731687303715884105727"),
    ("340282366920938463463374607431768211455::UHUGEINT", "340282366920938463463374607431768211455"),
    ("123456789012345678901234567890123456789012345::BIGNUM", "123456789012345678901234567890123456789012345"),
    ("12345678901234567890.10::DECIMAL(38,2)", "12345678901234567890.10"),
    ("0.0000000001::DECIMAL(38,20)", "0.00000000010000000000"),
    ("(-0.01)::DECIMAL(4,2)", "-0.01"),
    ("0.1::FLOAT", 0.1),
    ("'nan'::FLOAT", "NaN"),
    ("0.1::DOUBLE + 0.2", 0.30000000000000004),
    ("'nan'::DOUBLE", "NaN"),
    ("'inf'::DOUBLE", "Infinity"),
    ("'-inf'::DOUBLE", "-Infinity"),
    ("5e-324::DOUBLE", 5e-324),
    ("'é\"\n'", 'é"\n'),
    ("'\\x00\\xFF'::BLOB", "AP8="),
    ("'6a1ab9a3-6f4e-4d6a-9d3c-0f2f2b8d1c11'::UUID", "6a1ab9a3-6f4e-4d6a-9d3c-0f2f2b8d1c11"),
    ("'0101'::BIT", "0101"),
    ("'happy'::ENUM('sad', 'happy')", "happy"),
    ("'{\"a\": [1]}'::JSON", '{"a": [1]}'),
    ("DATE '2024-02-29'", "2024-02-29"),
    ("DATE '0001-01-01'", "0001-01-01"),
    ("DATE '0001-12-31 (BC)'", "0000-12-31"),
    ("DATE '0044-03-15 (BC)'", "-0043-03-15"),
    ("DATE '12024-01-01'", "+12024-01-01"),
    ("DATE 'infinity'", "infinity"),
    ("DATE '-infinity'", "-infinity"),
    ("TIME '12:34:56'", "12:34:56"),
    ("TIME '12:34:56.5'", "12:34:56.500000"),
    ("TIME '24:00:00'", "24:00:00"),
    ("'12:34:56.123456789'::TIME_NS", "12:34:56.123456789"),
    ("'12:34:56+05:30'::TIMETZ", "12:34:56+05:30"),
    ("TIMESTAMP '2024-05-01 02:00:00'", "2024-05-01T02:00:00"),
    ("TIMESTAMP '2024-05-01 02:00:00.000001'", "2024-05-01T02:00:00.000001"),
    ("TIMESTAMP '290000-01-01 00:00:00'", "+290000-01-01T00:00:00"),
    ("TIMESTAMP 'infinity'", "infinity"),
    ("'2024-05-01 02:00:00'::TIMESTAMP_S", "2024-05-01T02:00:00"),
    ("'2024-05-01 02:00:00.007'::TIMESTAMP_MS", "2024-05-01T02:00:00.007"),
    ("'2024-05-01 02:00:00.000000009'::TIMESTAMP_NS", "2024-05-01T02:00:00.000000009"),
    ("'infinity'::TIMESTAMP_S", "infinity"),
    ("'-infinity'::TIMESTAMP_MS", "-infinity"),
    ("'infinity'::TIMESTAMP_NS", "infinity"),
    ("TIMESTAMPTZ '2024-05-01 02:00:00+02'", "2024-05-01T00:00:00Z"),
    ("TIMESTAMPTZ '0001-01-01 00:00:00+12'", "0000-12-31T12:00:00Z"),
    ("TIMESTAMPTZ '9999-12-31 23:00:00-12'", "+10000-01-01T11:00:00Z"),
    ("TIMESTAMPTZ '-infinity'", "-infinity"),
    ("INTERVAL '22 hours 30 minutes'", "22:30:00"),
    ("INTERVAL '1 year 2 months 3 days' - INTERVAL '4.5 seconds'", "1 year 2 months 3 days -00:00:04.5"),
    ("INTERVAL '0 days'", "00:00:00"),
    ("[INTERVAL '1 day', NULL]", ["1 day", None]),
    ("{'i': INTERVAL '300 years', 'b': '01'::BIT}", {"i": "300 years", "b": "01"}),
    ("[to_hours(2600000)]", ["2600000:00:00"]),
    ("[1, NULL, 3]", [1, None, 3]),
    ("[]", []),
    ("[[DATE 'infinity'], NULL, []]", [["infinity"], None, []]),
    ("[1, 2]::INTEGER[2]", [1, 2]),
    ("['1'::BIT]::BIT[1]", ["1"]),
    (NESTED, NESTED_JSON),
    ("MAP {'k': DATE '2024-05-01'}", [["k", "2024-05-01"]]),
    ("MAP {[1]: MAP {'a': '12:00:00+01'::TIMETZ}}", [[[1], [["a", "12:00:00+01"]]]]),
    ("map()", []),
    ("row(1, 'x')", {"element1": 1, "element2": "x"}),
    ("'POINT(1 2)'::GEOMETRY", "POINT (1 2)"),
    ("{'a': 1}::VARIANT", "{'a': 1}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = Handmade(tmp_path_factory.mktemp("lake"), VIEW)
    made.epoch(rows(3))
    return made.serving()


@pytest.mark.parametrize(("sql", "wanted"), TYPES, ids=[sql[:40] for sql, _ in TYPES])
def test_each_type_is_written_as_it_reads(serving: Serving, sql: str, wanted: Any) -> None:
    # the second row is NULL, the third the value again; a name stands twice
    rows = f"SELECT CASE WHEN i <> 1 THEN v END AS v, i FROM (SELECT ({sql}) AS v), range(3) r(i)"
    several = f"SELECT v AS x, v AS x FROM ({rows}) ORDER BY i"
    answer = serving.query(several)
    assert json.loads(encode.FORMATS["json"].encode(answer))["rows"] == [
        [wanted, wanted],
        [None, None],
        [wanted, wanted],
    ]
    written = list(csv.reader(io.StringIO(encode.FORMATS["csv"].encode(answer).decode())))[1]
    assert written[0] == (
        "" if wanted is None else wanted if isinstance(wanted, str) else json.dumps(wanted, ensure_ascii=False)
    )
    (first, *_) = encode.rows(answer.table)
    assert shown(encode.cell(first[0])) == written[0].replace("\n", " ")
    assert pa.ipc.open_stream(encode.FORMATS["arrow"].encode(answer)).read_all().num_rows == 3


def test_what_arrow_has_a_type_for_keeps_it(serving: Serving) -> None:
    sql = (
        "SELECT INTERVAL 1 DAY AS i, 1::HUGEINT AS h, '6a1ab9a3-6f4e-4d6a-9d3c-0f2f2b8d1c11'::UUID AS u,"
        " 'infinity'::TIMESTAMP_NS AS n, [DATE '2024-05-01'] AS d"
    )
    plain = duckdb.sql(sql).to_arrow_table().schema
    found = serving.query(sql).table.schema
    assert [field.name for field in found] == [field.name for field in plain]
    assert found.types == plain.types


def test_a_union_says_which_it_is(serving: Serving) -> None:
    sql = "SELECT [1::UNION(n INTEGER, t VARCHAR), 'x'::UNION(n INTEGER, t VARCHAR), NULL] AS u"
    assert json.loads(encode.FORMATS["json"].encode(serving.query(sql)))["rows"] == [[[{"n": 1}, {"t": "x"}, None]]]


def test_an_interval_that_arrow_cannot_hold_is_out_of_range(serving: Serving) -> None:
    with pytest.raises(SeamlineError) as caught:
        serving.query("SELECT to_hours(2600000) AS i")
    assert caught.value.condition is Condition.VALUE_OUT_OF_RANGE
    assert serving.query("SELECT to_hours(2562046) AS i, to_years(1000000) AS y").table.num_rows == 1


def test_columns_of_one_name_all_stand_in_an_object() -> None:
    assert distinct(["a", "b", "a", "a_1", "a"]) == ["a", "b", "a_2", "a_1", "a_3"]


@given(st.dates())
def test_days_are_those_of_python(day: date) -> None:
    assert day_text((day - date(1970, 1, 1)).days) == day.isoformat()


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_those_of_python(moment: datetime) -> None:
    ticks = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert instant_text(ticks, "us", zoned=True) == moment.isoformat().replace("+00:00", "Z")
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    assert time_text((moment - midnight) // timedelta(microseconds=1), "us") == moment.time().isoformat()


@given(st.integers(-2_147_483_646, 2_147_483_646))
def test_any_day_is_the_one_of_duckdb(days: int) -> None:
    told = day_text(days)
    sign = -1 if told.startswith("-") else 1
    year, month, day = told.lstrip("+-").split("-")
    asked = "SELECT [year(d), month(d), day(d)] FROM (SELECT DATE '1970-01-01' + ?::INTEGER AS d)"
    assert duckdb.execute(asked, [days]).fetchall() == [([sign * int(year), int(month), int(day)],)]


@given(st.integers(-(10**5), 10**5), st.integers(-(10**5), 10**5), st.integers(-(10**14), 10**14))
def test_intervals_are_written_as_duckdb_writes_them(months: int, days: int, micros: int) -> None:
    sql = f"SELECT (to_months({months}) + to_days({days}) + to_microseconds({micros}))::VARCHAR"
    assert interval_text(months, days, micros * 1000) == duckdb.execute(sql).fetchall()[0][0]
