"""Buckets of fixed lengths are those of the calendar, which is asked no more: at every time that there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seamline.kernel import kernel
from seamline.schemas.views.buckets import without_calendar

FIRST, LAST = -9_223_372_022_400_000_000, 9_223_372_036_854_775_806
"""The first and the last microsecond from 1970 that a TIMESTAMPTZ can be."""

MONDAY, EPOCH = datetime(2000, 1, 3, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
KIND = "TIMESTAMP WITH TIME ZONE"
AT = 'events."seen"'
WIDTHS = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
WIDTHS |= {"day": timedelta(days=1), "week": timedelta(days=7)}


def buckets(key: str, micros: list[int]) -> list[int | None]:
    """What the kernel makes of the times."""
    seen = "CASE n WHEN 0 THEN TIMESTAMPTZ 'infinity' WHEN 1 THEN TIMESTAMPTZ '-infinity' ELSE make_timestamptz(us) END"
    table = pa.table({"n": range(len(micros) + 2), "us": [0, 0, *micros]})
    rows = f"SELECT n, {seen} AS seen FROM given UNION ALL SELECT -1, NULL"
    statement = f"WITH events AS ({rows}) SELECT epoch_us({key}) AS us FROM events ORDER BY n"
    return kernel().run(statement, {"given": table})["us"].to_pylist()


def spelt(unit: str, count: int) -> list[str]:
    found = [f"time_bucket(interval '{count} {unit}s', {AT})", f"time_bucket(interval {count} {unit}, {AT}, 'UTC')"]
    return [*found, f"date_trunc('{unit}', {AT})", f"datetrunc('{unit.upper()}', {AT})"]


@pytest.mark.parametrize("unit", ["day", "week"])
@given(count=st.integers(1, 999_999), micros=st.lists(st.integers(FIRST, LAST), max_size=20))
@example(count=1, micros=[FIRST, FIRST + 1, LAST, LAST - 1, -1, 0, -62_135_596_800_000_000, -62_135_596_800_000_001])
def test_a_bucket_is_the_calendars_over_all_times(unit: str, count: int, micros: list[int]) -> None:
    for written in spelt(unit, count):
        key = f"TRY({written})"
        quick = without_calendar(key, KIND)
        assert quick != key
        assert buckets(quick, micros) == buckets(key, micros)


@pytest.mark.parametrize("unit", WIDTHS)
@given(st.datetimes(datetime(2, 1, 1), datetime(9999, 12, 1)))
def test_a_bucket_is_the_one_of_plain_python(unit: str, naive: datetime) -> None:
    at, width = naive.replace(tzinfo=UTC), WIDTHS[unit]
    micros = (at - EPOCH) // timedelta(microseconds=1)
    start = (MONDAY + (at - MONDAY) // width * width - EPOCH) // timedelta(microseconds=1)
    assert buckets(without_calendar(f"TRY(date_trunc('{unit}', {AT}))", KIND), [micros])[-1] == start


@pytest.mark.parametrize(
    "key",
    [
        f"TRY(time_bucket(interval '1 month', {AT}))",
        f"TRY(time_bucket(interval '1 day', {AT}, 'Asia/Seoul'))",
        f"TRY(time_bucket(interval '1 day', {AT}, timestamptz '2000-01-03 06:00:00Z'))",
        f"TRY(time_bucket(interval '1 day', {AT} - interval '1 hour'))",
        f"TRY(date_trunc('month', {AT}))",
    ],
)
def test_what_is_no_fixed_length_or_no_field_stays_as_it_is_written(key: str) -> None:
    assert without_calendar(key, KIND) == key
    assert without_calendar(f"TRY(date_trunc('day', {AT}))", "TIMESTAMP") == f"TRY(date_trunc('day', {AT}))"
