"""Bytes from a client are a message or a clean error, whatever they are; and SCRAM as RFC 7677 shows it."""

from __future__ import annotations

import base64
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import SeamlineError
from seamline.serving.access.scram import ScramVerifier, scram_keys
from seamline.serving.wire import kinds, protocol, sasl
from seamline.serving.wire.copying import read_copy
from seamline.serving.wire.cut import edited, statements
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.packed import numeric
from seamline.serving.wire.spellings import edits, pattern

TEXTS = st.text(
    alphabet=st.sampled_from("SELECT copy to stdout(csv) from public.sales$1::int'\"[],;%\\é \n{}"), max_size=60
)


@given(st.binary(max_size=200))
def test_first_bytes_are_a_beginning_or_a_fatal_error(data: bytes) -> None:
    try:
        protocol.read_first(data)
    except WireError as error:
        assert error.severity == "FATAL"


@given(st.characters(max_codepoint=255), st.binary(max_size=200))
def test_bytes_are_a_message_or_a_clean_error(tag: str, data: bytes) -> None:
    try:
        protocol.read(tag, data)
    except WireError as error:
        assert error.sqlstate in ("08P01", "22021")


@given(
    st.sampled_from("QPBDEC"),
    st.lists(
        st.one_of(st.binary(max_size=8), st.just(b"\0"), st.integers(-2, 3).map(lambda n: struct.pack("!h", n))),
        max_size=12,
    ),
)
def test_fields_in_any_order_are_a_message_or_a_clean_error(tag: str, parts: list[bytes]) -> None:
    try:
        protocol.read(tag, b"".join(parts))
    except WireError as error:
        assert error.sqlstate in ("08P01", "22021")


@given(st.sampled_from([*kinds.BY_OID.values()]), st.binary(max_size=60), st.integers(0, 1))
def test_a_value_of_any_bytes_is_one_or_a_clean_error(kind: kinds.WireType, data: bytes, form: int) -> None:
    try:
        kind.read(data, form)
    except WireError as error:
        assert error.sqlstate in ("22P02", "22P03", "22003", "0A000")


@given(TEXTS)
def test_any_text_is_cut_rewritten_and_refused_cleanly(text: str) -> None:
    try:
        for one in statements(text):
            assert one.text.strip() == one.text
            assert len(one.parameters) >= 0
            edited(one.text, edits(one, {"sales"}))
            read_copy(one)
    except (WireError, SeamlineError):
        pass


@given(st.binary(max_size=120), st.binary(max_size=120))
def test_any_bytes_are_scram_or_are_told_to_be_none(first: bytes, last: bytes) -> None:
    kept = sasl.nobody("x", b"k")
    try:
        said = sasl.challenge(first, kept, b"nonce")
        assert sasl.final(last, said, kept) is None
    except sasl.ScramError:
        pass


def test_scram_as_the_rfc_shows_it() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    kept = ScramVerifier(salt, 4096, (scram_keys("pencil", salt),))
    said = sasl.challenge(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", kept, b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert said.text == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert sasl.final(last, said, kept) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    wrong = last.replace(b"p=dHzb", b"p=AHzb")
    assert sasl.final(wrong, said, kept) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**36), max_value=10**36, places=4))
def test_a_numeric_comes_back_as_it_was(value: Decimal) -> None:
    assert kinds.NUMERIC.read(numeric(value), protocol.BINARY) == value


@given(st.lists(st.one_of(st.none(), st.text(alphabet='ab"\\{}, NUL', max_size=6)), max_size=5))
def test_an_array_comes_back_as_it_was(items: list[str | None]) -> None:
    import pyarrow as pa

    kind = kinds.array_of(kinds.TEXTUAL)
    column = pa.array([items], pa.list_(pa.string()))
    for form in (protocol.TEXT, protocol.BINARY):
        (written,) = kind.write(column, form)
        assert written is not None
        assert kind.read(written, form) == items


@given(TEXTS, st.lists(st.tuples(st.integers(0, 59), st.integers(0, 3), st.text(max_size=4)), max_size=4))
def test_a_place_in_what_is_rewritten_is_one_in_what_was_written(text: str, chosen: list[tuple[int, int, str]]) -> None:
    from seamline.serving.wire.cut import Rewrite

    made, at = [], 0
    for start, length, new in sorted(chosen):
        if at <= start and start + length <= len(text):
            made.append(Rewrite(start, start + length, new))
            at = start + length
    found, back = edited(text, made)
    replaced = {n for one in made for n in range(one.start, max(one.end, one.start + 1))}
    for offset, character in enumerate(found):
        if back(offset) not in replaced:
            assert text[back(offset)] == character


@pytest.mark.parametrize(
    ("theirs", "ours"), [("YYYY-MM-DD HH24:MI:SS", "%Y-%m-%d %H:%M:%S"), ('YYYY"T"MM', "%YT%m"), ("100%", "100%%")]
)
def test_a_format_means_the_same(theirs: str, ours: str) -> None:
    assert pattern(theirs) == ours


@pytest.mark.parametrize("form", ["FMDay", "YYYY Month", "Q", "SSSSS"])
def test_a_format_without_a_like_is_refused(form: str) -> None:
    with pytest.raises(WireError, match="pattern"):
        pattern(form)
