"""Message by message: what PostgreSQL 15 answers to a course of messages, the port answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_fixtures import Both
from wireport import Speaker, shape

Course = Callable[[Speaker], list[tuple[str, bytes]]]


def extended(*steps: Callable[[Speaker], object]) -> Course:
    """Steps of the extended protocol, then Sync."""

    def course(speaker: Speaker) -> list[tuple[str, bytes]]:
        for step in steps:
            step(speaker)
        return speaker.sync()

    return course


def queries(*texts: str) -> Course:
    """Simple queries, one after the other."""
    return lambda speaker: [message for text in texts for message in speaker.query(text)]


def parse(sql: str, name: str = "") -> Callable[[Speaker], object]:
    return lambda speaker: speaker.parse(sql, name)


def bind(*values: bytes | None, portal: str = "", name: str = "", results: int = 0) -> Callable[[Speaker], object]:
    return lambda speaker: speaker.bind(*values, portal=portal, name=name, results=results)


def execute(portal: str = "", rows: int = 0) -> Callable[[Speaker], object]:
    return lambda speaker: speaker.execute(portal, rows)


def send(tag: str, body: bytes) -> Callable[[Speaker], object]:
    return lambda speaker: speaker.send(tag, body)


def sync(speaker: Speaker) -> None:
    speaker.send("S")


def both_of(*courses: Course) -> Course:
    return lambda speaker: [message for course in courses for message in course(speaker)]


SHOPS = "SELECT shop FROM sales ORDER BY shop, hour"

COURSES: dict[str, Course] = {
    "several statements": queries("SELECT 1; SELECT 2; SHOW DateStyle"),
    "nothing": queries("", ";", " ; ; "),
    "what fails ends a text": queries("SELECT 1; SELECT 1/'x'::int; SELECT 2"),
    "a failed transaction": queries("BEGIN", "SELECT nope FROM sales", "SELECT 1", "COMMIT", "SELECT 1"),
    "in one text": queries("BEGIN; SELECT 1; COMMIT", "BEGIN; SELECT nope FROM sales; COMMIT", "ROLLBACK"),
    "savepoints": queries("BEGIN", "SAVEPOINT a", "SELECT nope FROM sales", "ROLLBACK TO SAVEPOINT a", "SELECT 1", "RELEASE a", "END"),
    "warnings": queries("COMMIT", "ROLLBACK", "BEGIN", "BEGIN", "ROLLBACK", "SET LOCAL jit = off"),
    "outside of a transaction": queries("SAVEPOINT a", "ROLLBACK TO a", "DECLARE c CURSOR FOR SELECT 1", "FETCH c", "CLOSE c"),
    "settings": queries("SET jit TO off", "SHOW jit", "RESET jit", "SHOW jit", "RESET ALL", "SET nope = 1", "SHOW nope", "DISCARD ALL"),
    "settings undone": queries("BEGIN", "SET jit = off", "ROLLBACK", "SHOW jit", "SET server_version = '1'"),
    "discard in a transaction": queries("BEGIN", "DISCARD ALL", "ROLLBACK"),
    "cursors": queries(
        "BEGIN", f"DECLARE c CURSOR FOR {SHOPS}", "FETCH 2 FROM c", "MOVE 3 IN c", "FETCH NEXT FROM c", "FETCH FORWARD ALL FROM c",
        "FETCH c", "CLOSE c", "FETCH c", "ROLLBACK",
    ),
    "cursors that are held": queries(
        "BEGIN", f"DECLARE c CURSOR WITH HOLD FOR {SHOPS}", "COMMIT", "FETCH 2 FROM c", "CLOSE ALL", "FETCH c",
    ),
    "a cursor of a name that is taken": queries("BEGIN", "DECLARE c CURSOR FOR SELECT 1", "DECLARE c CURSOR FOR SELECT 1", "ROLLBACK"),
    "copy": queries("COPY (SELECT 1, 'a') TO STDOUT", "COPY sales TO STDOUT CSV HEADER", "COPY (SELECT 1) TO STDOUT (FORMAT binary)"),
    "copy with words that are none": queries("COPY sales TO STDOUT (FORMAT nope)", "COPY sales TO STDOUT (NOPE)", "COPY nope TO STDOUT"),
    "writing": queries("BEGIN READ ONLY", "INSERT INTO sales VALUES (NULL)", "ROLLBACK"),
    "no SQL": queries("SELEC 1", "SELECT FROM WHERE", "SELECT 'a", "SELECT (1"),
    "prepared": extended(parse(SHOPS, "s"), send("D", b"Ss\0"), bind(name="s"), send("D", b"P\0"), execute()),
    "rows in parts": extended(parse(SHOPS), bind(), execute(rows=4), execute(rows=4), execute(rows=400), execute(rows=4)),
    "parameters": extended(parse("SELECT $1::int + 1, $2::text"), send("D", b"S\0"), bind(b"41", b"x"), execute()),
    "inferred": extended(parse("SELECT shop FROM sales WHERE shop = $1 AND orders > $2"), send("D", b"S\0"), bind(b"shop0", b"1"), execute()),
    "a value that does not fit": extended(parse("SELECT $1::int"), bind(b"x"), execute()),
    "too few values": extended(parse("SELECT $1::int"), bind(), execute()),
    "a null": extended(parse("SELECT $1::int"), bind(None, results=1), execute()),
    "what follows an error is skipped": extended(parse("SELEC"), bind(), execute(), send("D", b"P\0"), parse("SELECT 1")),
    "names that are not there": both_of(
        extended(bind(name="nope")), extended(execute("nope")), extended(send("D", b"Snope\0")),
        extended(send("D", b"Pnope\0")), extended(send("C", b"Snope\0"), send("C", b"Pnope\0")),
    ),
    "a name that is taken": extended(parse("SELECT 1", "s"), parse("SELECT 1", "s")),
    "portals end with what was sent together": both_of(
        extended(parse(SHOPS), bind(portal="p"), execute("p", 2)), extended(execute("p", 2)),
    ),
    "and last in a transaction": both_of(
        queries("BEGIN"), extended(parse(SHOPS), bind(portal="p"), execute("p", 2)), extended(execute("p", 2)),
        queries("COMMIT"), extended(execute("p", 2)),
    ),
    "closed": extended(parse("SELECT 1", "s"), bind(portal="p", name="s"), send("C", b"Pp\0"), execute("p")),
    "two statements in one Parse": extended(parse("SELECT 1; SELECT 2"), bind(), execute()),
    "an empty statement": extended(parse(""), send("D", b"S\0"), bind(), execute()),
    "a transaction": extended(*[step for sql in ("BEGIN", "SELECT 1", "COMMIT") for step in (parse(sql), bind(), execute())]),
    "after a failure": both_of(
        queries("BEGIN", "SELECT nope FROM sales"), extended(parse("SELECT 1"), bind(), execute()),
        extended(parse("ROLLBACK"), bind(), execute()),
    ),
    "show": extended(parse("SHOW jit"), send("D", b"S\0"), bind(), execute()),
    "set": extended(parse("SET jit = off"), send("D", b"S\0"), bind(), execute()),
    "deallocate": both_of(extended(parse("SELECT 1", "s")), queries("DEALLOCATE s", "DEALLOCATE s", "DEALLOCATE ALL")),
    "a format that is none": extended(parse("SELECT 1"), bind(results=7), execute()),
    "parameters with a hole": extended(parse("SELECT $2::int"), bind(b"1", b"2"), execute()),
    "catalogue": queries("SELECT count(*) FROM pg_class WHERE relname = 'sales'", "SELECT 'nope'::regclass"),
}  # fmt: skip

DIFFERENT = {
    "a format that is none": "refused when it is bound, not when rows are asked for",
}
"""Courses that end otherwise here, and why."""


@pytest.mark.parametrize("name", COURSES)
def test_a_course_of_messages_is_answered_as_postgres_does(both: Both, name: str) -> None:
    told = []
    for port in (both.postgres, both.port.number):
        speaker = Speaker(port, user="me", database="seamline")
        told.append(shape(COURSES[name](speaker)))
        speaker.close()
    assert (told[0] != told[1]) == (name in DIFFERENT), told


STEPS: list[Callable[[Speaker], object]] = [
    *(parse(sql, name) for sql in ("SELECT 1", "BEGIN", "ROLLBACK", "SELEC", "SELECT shop FROM sales") for name in ("", "s")),
    *(bind(portal=portal, name=name) for portal in ("", "p") for name in ("", "s")),
    *(execute(portal, rows) for portal in ("", "p") for rows in (0, 2)),
    *(send("D", kind + name + b"\0") for kind in (b"S", b"P") for name in (b"", b"s")),
    *(send("C", kind + b"p\0") for kind in (b"S", b"P")),
    sync, sync,
]  # fmt: skip


@given(st.lists(st.integers(0, len(STEPS) - 1), max_size=12))
@settings(max_examples=25)
def test_any_course_of_messages_is_answered_as_postgres_does(both: Both, chosen: list[int]) -> None:
    told = []
    for port in (both.postgres, both.port.number):
        speaker = Speaker(port, user="me", database="seamline")
        for number in chosen:
            STEPS[number](speaker)
        waiting = sum(STEPS[number] is sync for number in chosen) + 1
        speaker.send("S")
        told.append([shape(speaker.until("Z")) for _ in range(waiting)])
        speaker.close()
    assert told[1] == told[0]
