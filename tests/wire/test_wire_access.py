"""The same tokens at the Postgres port: the same are let in, and each sees what it sees over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from certificates import make_certificate
from handmade import OTHER, VIEW, Handmade, rows
from waiting import wait_until
from wireport import Port

from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.access.certificate import Certificate
from seamline.serving.access.policies import parse_policy
from seamline.serving.access.store import TokenStore
from seamline.tokentext import token_of

DAY = timedelta(days=1)


@dataclass
class Kept:
    """A port with tokens of every kind."""

    port: Port
    store: TokenStore

    secrets: dict[str, tuple[str, str]]
    """By kind: the user, and the password."""

    audit: Path | None = None

    def connect(self, kind: str, **more: Any) -> psycopg.Connection[Any]:
        user, password = self.secrets[kind]
        given: dict[str, Any] = {"user": user, "password": password, "autocommit": True, **more}
        return psycopg.connect(f"postgresql://127.0.0.1:{self.port.number}/seamline", **given)


def secrets(store: TokenStore, clock: Any) -> dict[str, tuple[str, str]]:
    made = {name: store.create(name, views=None)[1] for name in ("every", "revoked", "replaced", "rotated")}
    made["expired"] = store.create("expired", views=None, lasts=DAY)[1]
    store.revoke("revoked")
    store.rotate("replaced", DAY)
    clock.advance(DAY)
    new = store.rotate("rotated", DAY)[1]
    made |= {name: store.create(name, views=[name])[1] for name in ("sales", "shops")}
    made["limited"] = store.create("limited", views=None, attributes={"shop": "shop1"})[1]
    found = {name: (name, text) for name, text in made.items()}
    every = made["every"]
    return found | {
        "rotated, its new secret": ("rotated", new),
        "none": ("every", ""),
        "unknown": ("every", token_of(bytes(32))),
        "mistyped": ("every", every[:-1] + ("0" if every[-1] != "0" else "1")),
        "another's": ("sales", every),
        "nobody": ("nobody", every),
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    made = Handmade(folder / "lake", VIEW, OTHER)
    made.epoch(rows(20))
    store = TokenStore(folder / "tokens.json", made.clock)
    known = secrets(store, made.clock)
    policy = parse_policy("sales", "shop = coalesce(token.shop, shop)", "sales.sql")
    log = AuditLog(folder / "audit.jsonl", masked=False, most=1 << 20, keep=1)
    port = Port(made, doors=Access(store, {"sales": policy}), audit=log)
    yield Kept(port, store, known, folder / "audit.jsonl")
    port.close()
    log.close()


@pytest.mark.parametrize(
    "kind", ["none", "unknown", "mistyped", "another's", "nobody", "expired", "revoked", "replaced"]
)
def test_who_is_not_let_in(kept: Kept, kind: str) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        kept.connect(kind)
    assert "seam_" not in str(caught.value)
    if kind != "none":  # libpq does not even ask
        assert "authentication failed" in str(caught.value)
        user, _ = kept.secrets[kind]
        wait_until(lambda: any(f"user {user}" == line["request"] for line in refused(kept)), 10, "a line says so")


def test_the_audit_log_has_who_was_not_let_in_and_no_password(kept: Kept) -> None:
    with pytest.raises(psycopg.OperationalError):
        kept.connect("every", user=kept.secrets["sales"][1])  # a token where the name belongs
    wait_until(lambda: any("user seam_***" in line["request"] for line in refused(kept)), 10, "a line says so")
    assert kept.audit is not None
    assert not [text for _, text in kept.secrets.values() if text and text in kept.audit.read_text()]
    (line, *_) = refused(kept)
    assert {**line, "at": "", "request": "", "message": ""} == {
        "at": "", "who": None, "door": "postgres", "client": "127.0.0.1", "request": "", "outcome": "UNAUTHENTICATED",
        "message": "",
    }  # fmt: skip


def refused(kept: Kept) -> list[dict[str, Any]]:
    assert kept.audit is not None
    text = kept.audit.read_text() if kept.audit.exists() else ""
    return [line for line in map(json.loads, text.splitlines()) if line["who"] is None]


@pytest.mark.parametrize("kind", ["every", "rotated", "rotated, its new secret", "sales"])
def test_who_is_let_in(kept: Kept, kind: str) -> None:
    with kept.connect(kind) as there:
        assert there.execute("SELECT sum(orders)::INT FROM sales").fetchall() == [(20,)]


@pytest.mark.parametrize(("kind", "other"), [("sales", "shops"), ("shops", "sales")])
def test_another_view_does_not_exist(kept: Kept, kind: str, other: str) -> None:
    with kept.connect(kind) as there:
        listed = there.execute("SELECT relname FROM pg_catalog.pg_class WHERE relname IN ('sales', 'shops')").fetchall()
        assert listed == [(kind,)]
        said = []
        for name in (other, "nothing"):
            with pytest.raises(psycopg.Error) as caught:
                there.execute(f"SELECT * FROM {name}")
            said.append((caught.value.sqlstate, str(caught.value).replace(name, "…")))
        assert said[0] == said[1]


def test_a_policy_leaves_the_same_rows(kept: Kept) -> None:
    with kept.connect("limited") as there:
        assert there.execute("SELECT DISTINCT shop FROM sales").fetchall() == [("shop1",)]
        assert there.execute("SELECT count(*) FROM sales WHERE shop <> %s", ["shop1"]).fetchall() == [(0,)]


def test_revoking_ends_what_a_session_may_do(kept: Kept) -> None:
    kept.secrets["brief"] = ("brief", kept.store.create("brief", views=None)[1])
    with kept.connect("brief") as there:
        assert there.execute("SELECT count(*) > 0 FROM sales").fetchall() == [(True,)]
        kept.store.revoke("brief")
        with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification, match="revoked"):
            there.execute("SELECT count(*) FROM sales")


def test_the_port_shows_the_roles_certificate(tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    made = Handmade(tmp_path / "lake", VIEW)
    made.epoch(rows(20))
    store = TokenStore(tmp_path / "tokens.json", made.clock)
    text = store.create("every", views=None)[1]
    port = Port(made, doors=Access(store), tls=Certificate(chain, key).context)
    try:
        there = Kept(port, store, {"every": ("every", text)})
        with there.connect("every", sslmode="verify-full", sslrootcert=str(chain)) as one:
            assert one.execute("SELECT sum(orders)::INT FROM sales").fetchall() == [(20,)]
        with pytest.raises(psycopg.OperationalError, match="encryption"):
            there.connect("every", sslmode="disable")
    finally:
        port.close()
