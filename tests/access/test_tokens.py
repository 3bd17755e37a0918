"""Tokens: what is kept of one, what each change does, and who is let in with it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.clock import ManualClock
from seamline.errors import Condition, UserError
from seamline.serving.access.authentication import Access
from seamline.serving.access.opening import check_open, is_loopback
from seamline.serving.access.scram import ScramVerifier, scram_keys
from seamline.serving.access.store import TokenStore
from seamline.serving.callers import LOCAL
from seamline.tokentext import TOKEN, is_token, token_of, without_tokens

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC))


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> TokenStore:
    return TokenStore(tmp_path / "state" / "tokens.json", clock)


def refused(access: Access, text: str | None) -> str:
    with pytest.raises(UserError) as caught:
        access.caller(text)
    assert caught.value.condition is Condition.UNAUTHENTICATED
    return caught.value.message


@given(st.binary(min_size=32, max_size=32), st.integers(0, 53), st.sampled_from("0aZ_ é"))
def test_a_mistyped_token_is_never_taken_for_one(random: bytes, place: int, letter: str) -> None:
    text = token_of(random)
    assert is_token(text)
    assert TOKEN.fullmatch(text)
    wrong = text[:place] + letter + text[place + 1 :]
    assert is_token(wrong) == (wrong == text)
    assert not is_token(text[:-1])
    assert not is_token(text + "0")


def test_no_token_is_read_in_a_text_that_may_be_shown() -> None:
    text = token_of(bytes(32))
    assert without_tokens(f"SELECT '{text}', 'seam_x'") == "SELECT 'seam_***', 'seam_x'"


def test_only_hashes_are_kept_and_only_its_owner_reads_them(store: TokenStore) -> None:
    token, text = store.create("grafana", views=["Sales", "sales", "shops"])
    kept = store.path.read_text()
    assert text not in kept
    assert text[5:48] not in kept
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    (said,) = json.loads(kept)["tokens"]
    assert said["secrets"][0]["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert token.views == ("sales", "shops")
    assert store.read().tokens == (token,)


def test_a_token_is_asked_for_from_the_first_one_on_that_was_made(store: TokenStore) -> None:
    access = Access(store)
    assert not access.required
    assert access.caller(None) == LOCAL
    _, text = store.create("grafana", views=["sales"])
    assert access.required
    assert refused(access, None) == "no token"
    caller = access.caller(text)
    assert (caller.name, caller.views, caller.operate) == ("grafana", frozenset({"sales"}), False)


def test_why_a_token_does_not_hold_is_told(store: TokenStore, clock: ManualClock) -> None:
    access = Access(store)
    _, short = store.create("short", views=None, lasts=DAY)
    _, gone = store.create("gone", views=None)
    _, first = store.create("changed", views=None)
    store.revoke("gone")
    _, second = store.rotate("changed", DAY)
    assert "revoked" in refused(access, gone)
    assert access.caller(first) == access.caller(second)
    assert access.caller(short).name == "short"
    clock.advance(DAY)
    assert "expired" in refused(access, short)
    assert "replaced" in refused(access, first)
    assert access.caller(second).name == "changed"
    assert "mistake" in refused(access, second[:-1] + ("0" if second[-1] != "0" else "1"))
    assert "not known" in refused(access, token_of(bytes(32)))
    assert "no token" in refused(access, "hunter2")


def test_grace_never_outlives_an_earlier_one(store: TokenStore, clock: ManualClock) -> None:
    access = Access(store)
    _, first = store.create("changed", views=None)
    store.rotate("changed", DAY)
    store.rotate("changed", 30 * DAY)
    clock.advance(DAY)
    assert "replaced" in refused(access, first)


def test_a_file_that_is_gone_lets_nobody_in(store: TokenStore) -> None:
    _, text = store.create("grafana", views=None)
    access = Access(store)
    store.path.unlink()
    assert access.required
    assert "not known" in refused(access, text)
    assert refused(access, None) == "no token"
    assert access.verifier("grafana") is None


@pytest.mark.parametrize("damage", ["", "{}x", '{"format": 2, "tokens": []}', '{"format": 1, "tokens": [{}]}'])
def test_a_damaged_file_lets_nobody_in(store: TokenStore, damage: str) -> None:
    _, text = store.create("grafana", views=None)
    access = Access(store)
    store.path.write_text(damage)
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            access.caller(text)
        assert caught.value.condition is Condition.CONFIG_INVALID
        assert text not in str(caught.value)


def test_what_a_later_release_limits_a_token_by_is_not_passed_over(store: TokenStore) -> None:
    store.create("grafana", views=None)
    said = json.loads(store.path.read_text())
    said["tokens"][0]["only_on"] = "sundays"
    store.path.write_text(json.dumps(said))
    with pytest.raises(UserError, match="only_on"):
        store.read()


def test_a_file_that_others_may_write_is_not_believed(store: TokenStore) -> None:
    store.create("grafana", views=None)
    store.path.chmod(0o660)
    with pytest.raises(UserError, match="others may write"):
        Access(store)


@pytest.mark.parametrize("name", ["", "1st", "a b", "ü", "a/b", "local", "x" * 64, "a\n"])
def test_names_are_checked(store: TokenStore, name: str) -> None:
    with pytest.raises(UserError, match="name"):
        store.create(name, views=None)
    assert not store.path.exists()


def test_a_name_stays_taken(store: TokenStore, clock: ManualClock) -> None:
    store.create("grafana", views=None)
    at = store.revoke("grafana").revoked
    clock.advance(DAY)
    assert store.revoke("grafana").revoked == at
    for change in (lambda: store.create("grafana", views=None), lambda: store.rotate("grafana", DAY)):
        with pytest.raises(UserError, match=r"already|revoked"):
            change()
    with pytest.raises(UserError, match="did you mean grafana") as caught:
        store.revoke("grafanna")
    assert caught.value.condition is Condition.INPUT_INVALID


def test_the_verifier_is_that_of_the_rfc() -> None:
    """RFC 7677, section 3."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    other = scram_keys("pencils", salt)
    verifier = ScramVerifier(salt, 4096, (other, scram_keys("pencil", salt)))
    assert (
        base64.b64encode(verifier.signature(message, proof) or b"") == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    assert ScramVerifier(salt, 4096, (other,)).signature(message, proof) is None
    assert verifier.signature(message, proof[:-1]) is None
    assert verifier.signature(message, b"") is None


def proof_of(text: str, salt: bytes, iterations: int, message: bytes) -> bytes:
    """A client's, by hashlib alone."""
    salted = hashlib.pbkdf2_hmac("sha256", text.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    signed = hmac.digest(hashlib.sha256(client).digest(), message, "sha256")
    return bytes(a ^ b for a, b in zip(client, signed, strict=True))


def test_both_secrets_prove_themselves_while_one_replaces_the_other(store: TokenStore, clock: ManualClock) -> None:
    access = Access(store)
    _, first = store.create("grafana", views=["sales"])
    _, second = store.rotate("grafana", DAY)

    def proved(text: str) -> bool:
        verifier = access.verifier("grafana")
        assert verifier is not None
        return verifier.signature(b"m", proof_of(text, verifier.salt, verifier.iterations, b"m")) is not None

    assert (proved(first), proved(second), proved(token_of(bytes(32)))) == (True, True, False)
    clock.advance(DAY)
    assert (proved(first), proved(second)) == (False, True)
    assert access.named("grafana").views == frozenset({"sales"})
    assert access.verifier("nobody") is None
    store.revoke("grafana")
    assert access.verifier("grafana") is None
    with pytest.raises(UserError, match="revoked"):
        access.named("grafana")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "serving.example", "localhost.example"])
def test_without_tokens_no_other_machine_can_ask(store: TokenStore, host: str) -> None:
    access = Access(store)
    with pytest.raises(UserError, match="no token was made") as caught:
        check_open(host, access)
    assert "seamline tokens create" in caught.value.hint
    store.create("grafana", views=None)
    check_open(host, access)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_without_tokens_this_machine_can(store: TokenStore, host: str) -> None:
    assert is_loopback(host)
    check_open(host, Access(store))
