"""What one client can do to the port, and to the others: nothing."""

from __future__ import annotations

import json
import logging
import signal
import socket
import ssl
import struct
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from certificates import make_certificate
from handmade import rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servingrole import address_of, begun
from waiting import wait_until
from wireport import VIEW, Port, Speaker, fields, open_wire, shape

from seamline.serving.access.authentication import Access
from seamline.serving.access.store import TokenStore

OTHER = "CREATE MATERIALIZED VIEW shops AS SELECT date_trunc('day', placed) AS day, shop, count(*) AS orders FROM orders GROUP BY ALL"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory):
    with open_wire(tmp_path_factory.mktemp("bounds"), rows(60), startup_seconds=0.4, most=12) as opened:
        yield opened


def still_answers(port: Port) -> None:
    with psycopg.connect(port.url) as connection:
        assert connection.execute("SELECT count(*) FROM sales").fetchone() == (15,)


def last_words(speaker: Speaker) -> str:
    """The SQLSTATE that the connection ends with; '' where it just ends."""
    return next((fields(body)["C"] for tag, body in speaker.rest() if tag == "E"), "")


def test_a_client_that_does_not_say_who_it_is_is_let_go(port: Port) -> None:
    for beginning in (b"", b"\0\0", struct.pack("!ii", 100, 196608) + b"user\0"):
        speaker = Speaker(port.number)
        speaker.raw(beginning)
        assert speaker.rest() == []
    still_answers(port)


def test_connections_are_counted(port: Port) -> None:
    wait_until(lambda: not port.house.connections, 10, "earlier connections are gone")
    held = [Speaker(port.number, user="me") for _ in range(12)]
    one_more = Speaker(port.number)
    assert shape(one_more.start(user="me")) == ["E 53300"]
    for one in held:
        one.close()
    wait_until(lambda: not port.house.connections, 10, "they are gone")
    still_answers(port)


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"Q" + struct.pack("!i", 2**31 - 1), "08P01"),
        (b"Q" + struct.pack("!i", -1), "08P01"),
        (b"z" + struct.pack("!i", 4), "08P01"),
        (b"B" + struct.pack("!i", 5) + b"x", "08P01"),
        (b"p" + struct.pack("!i", 4), "08P01"),
        (b"GET / HTTP/1.1\r\n\r\n", "08P01"),
    ],
)
def test_what_is_no_message_ends_the_connection(port: Port, data: bytes, state: str) -> None:
    speaker = Speaker(port.number, user="me")
    speaker.raw(data)
    assert last_words(speaker) == state
    still_answers(port)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x04",
        struct.pack("!i", 2**30),
        struct.pack("!ii", 8, 131072),
        struct.pack("!ii", 9, 196608) + b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_beginning_ends_the_connection(port: Port, data: bytes) -> None:
    speaker = Speaker(port.number)
    speaker.raw(data)
    assert last_words(speaker) in ("08P01", "0A000", "28000")
    still_answers(port)


MESSAGES = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.sampled_from("QPBDECSHXdcfpF?"), st.binary(max_size=40)).map(
        lambda one: one[0].encode() + struct.pack("!i", len(one[1]) + 4) + one[1]
    ),
    st.text(max_size=30).map(lambda text: b"Q" + struct.pack("!i", len(text.encode()) + 5) + text.encode() + b"\0"),
)


@given(st.lists(MESSAGES, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
def test_any_bytes_get_a_clean_error_or_the_end(
    port: Port, caplog: pytest.LogCaptureFixture, sent: list[bytes]
) -> None:
    wait_until(lambda: len(port.house.connections) < 6, 10, "earlier connections are gone")
    speaker = Speaker(port.number, user="me")
    try:
        speaker.raw(b"".join(sent))
        speaker.socket.shutdown(socket.SHUT_WR)
        told = speaker.rest()
    except ConnectionError:
        told = []
    speaker.close()
    assert all(fields(body)["C"] != "XX000" for tag, body in told if tag == "E")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_queries_of_the_catalogue_that_go_mad_end_and_hurt_nobody(port: Port) -> None:
    mad = [
        "SELECT count(*) FROM pg_attribute a, pg_attribute b, pg_attribute c, pg_type d, pg_type e, pg_type f, pg_type g, pg_type h",
        "WITH a AS (SELECT repeat('x', 100000000) AS x FROM pg_class) SELECT length(string_agg(x, '')) FROM a, pg_type, pg_type b",
    ]
    with psycopg.connect(port.url, autocommit=True) as connection, psycopg.connect(port.url, autocommit=True) as other:
        for sql in mad:
            with pytest.raises(psycopg.Error) as raised:
                connection.execute(sql)
            assert raised.value.sqlstate in ("57014", "53200")
            assert other.execute("SELECT count(*) FROM sales").fetchone() == (15,)
            assert other.execute("SELECT count(*) FROM pg_class WHERE relname = 'sales'").fetchone() == (1,)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd'), pg_class", "SELECT * FROM '/etc/passwd', pg_class", "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM duckdb_settings(), pg_class", "SELECT getenv('HOME'), version()", "SELECT * FROM pg_class, duckdb_secrets()",
        "SELECT current_setting('x'), query('SELECT 1')", "COPY (SELECT version()) TO '/tmp/x'", "SELECT * FROM sqlite_master, pg_class",
        "ATTACH 'x'", "PRAGMA version", "SELECT pg_terminate_backend(1)", "SELECT lo_import('/etc/passwd')", "SELECT dblink('x', 'y')",
        "SELECT * FROM _session, pg_class", "SELECT * FROM main._session, pg_class", "SELECT * FROM system.pg_catalog.pg_class",
    ],
)  # fmt: skip
def test_the_catalogue_reaches_nothing_else(port: Port, sql: str) -> None:
    with psycopg.connect(port.url, autocommit=True) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(sql)
    assert raised.value.sqlstate in ("0A000", "42P01", "42501", "42601", "42883")


def test_an_answer_has_its_proof_its_past_and_its_warnings(tmp_path: Path) -> None:
    with open_wire(tmp_path, rows(20)) as port, psycopg.connect(port.url, autocommit=True) as connection:
        said: list[str] = []
        connection.add_notice_handler(lambda one: said.append(str(one.message_primary)))
        assert connection.execute("SELECT sum(orders) FROM sales").fetchone() == (20,)
        port.made.epoch(rows(10, first=20))
        port.serving.catch_up()
        assert connection.execute("SELECT sum(orders), avg(mean) FROM sales").fetchone()[0] == 30
        assert len(said) == 1
        assert "MEASURE(mean)" in said[0]
        proof = json.loads(connection.execute("SHOW seamline.provenance").fetchone()[0])
        assert proof["sales"]["reached"] == {"orders@id1": {"0": 30}}
        connection.execute("SET seamline.as_of = 1")
        assert connection.execute("SELECT sum(orders) FROM sales").fetchone() == (20,)
        connection.execute("SET seamline.as_of TO DEFAULT")
        connection.execute("SET TimeZone TO 'Europe/Berlin'")
        assert "told in UTC" in said[-1]
        assert connection.execute("SELECT min(hour) FROM sales").fetchone() == (datetime(2024, 5, 1, tzinfo=UTC),)


def test_a_token_is_the_password_and_sees_its_own_views(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens.json")
    _, secret = store.create("dashboard", views=["sales"])
    with open_wire(tmp_path / "lake", rows(20), view=VIEW + ";" + OTHER, doors=Access(store)) as port:
        at = {"host": "127.0.0.1", "port": port.number, "dbname": "seamline"}
        for user, password in (("dashboard", "wrong"), ("dashboard", ""), ("nobody", secret)):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(**at, user=user, password=password)
        with psycopg.connect(**at, user="dashboard", password=secret, autocommit=True) as connection:
            assert connection.execute("SELECT sum(orders) FROM sales").fetchone() == (20,)
            assert connection.execute("SELECT tablename FROM pg_tables").fetchall() == [("sales",)]
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("SELECT * FROM shops")
        store.revoke("dashboard")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**at, user="dashboard", password=secret)


def test_tls_is_spoken_where_there_is_a_certificate(tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with open_wire(tmp_path / "lake", rows(20), tls=context) as port:
        with psycopg.connect(f"{port.url}?sslmode=verify-ca&sslrootcert={chain}") as connection:
            assert connection.execute("SELECT sum(orders) FROM sales").fetchone() == (20,)
            assert connection.pgconn.ssl_in_use
        speaker = Speaker(port.number)
        speaker.raw(struct.pack("!ii", 8, 80877103) + struct.pack("!ii", 8, 80877103))  # more, in the clear
        assert speaker.socket.recv(1) in (b"E", b"")


def test_without_a_certificate_encryption_is_declined(port: Port) -> None:
    speaker = Speaker(port.number)
    for code in (80877103, 80877104):
        speaker.raw(struct.pack("!ii", 8, code))
        assert speaker.socket.recv(1) == b"N"
    assert shape(speaker.start(user="me"))[-1] == "Z I"


def test_the_role_opens_the_port_and_drains_on_sigterm(tmp_path: Path) -> None:
    process = begun(tmp_path, port=0, pg_port=0)
    try:
        url = address_of(tmp_path, process)["pg_url"]

        def answers() -> bool:
            try:
                with psycopg.connect(url, user="me") as connection:
                    return connection.execute("SELECT 1").fetchone() == (1,)
            except psycopg.Error:
                return False

        wait_until(answers, 30, "the port answers")
        idle = psycopg.connect(url, user="me", autocommit=True)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.decode()) == (0, "")
    with pytest.raises(psycopg.OperationalError):
        idle.execute("SELECT 1")
