"""Tokens as values: what each may see, until when, and what is kept of its secret, which is hashes alone.

All here is pure: a change is a new value. The instants and the secrets' texts are passed in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import Field

from seamline.entries.base import Value
from seamline.errors import Condition, UserError
from seamline.kernel import fold
from seamline.serving.access.scram import ITERATIONS, ScramKeys, ScramVerifier, scram_keys
from seamline.serving.callers import LOCAL, UNLIMITED, Caller, CallerLimits

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
"""A token's name: it is the user of a Postgres client too, which takes 63 characters."""

ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,62}")
LONGEST_VALUE = 200
"""Characters of an attribute."""

FORMER = 4
"""Secrets that a token had before, which are still told from ones that never were."""

NOT_KNOWN = "a token that is not known here"


class Secret(Value, extra="forbid"):
    """What is kept of one token's text."""

    digest: str
    """SHA-256, in hexadecimal: of 256 random bits that is enough."""

    stored_key: str
    server_key: str
    """Base64, for SCRAM."""

    until: datetime | None = None
    """Where another has replaced it: until when it holds all the same."""

    @property
    def keys(self) -> ScramKeys:
        """For SCRAM."""
        return ScramKeys(b64decode(self.stored_key), b64decode(self.server_key))

    def holds(self, now: datetime) -> bool:
        """Whether it is the newest, or the newest has not been here for long enough."""
        return self.until is None or now < self.until


class Grant(Value, extra="forbid"):
    """One token: its name, what it may see, and its secrets, the newest first."""

    name: str

    views: tuple[str, ...] | None
    """Folded names; None: every view."""

    queries: tuple[str, ...] = ()
    """Saved queries that it may ask whatever views these read."""

    limits: CallerLimits = UNLIMITED

    operate: bool
    """Whether it may change things, beside reading."""

    attributes: dict[str, str] = Field(default_factory=dict)
    """What row policies know of it, by folded name."""

    made: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    salt: str
    """Base64, for SCRAM."""

    iterations: int = ITERATIONS
    secrets: tuple[Secret, ...]

    def state(self, now: datetime) -> str:
        """valid, expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"

    @property
    def caller(self) -> Caller:
        """Who asks with it."""
        views = None if self.views is None else frozenset(self.views)
        return Caller(self.name, views, self.operate, frozenset(self.queries), limits=self.limits)

    def check(self, now: datetime) -> None:
        """Raises UNAUTHENTICATED where it holds no more."""
        state = self.state(now)
        if state != "valid":
            since = f"{self.revoked or self.expires:%Y-%m-%d %H:%M} UTC"
            raise unauthenticated(f"token {self.name} is {state}, since {since}")

    def verifier(self, now: datetime) -> ScramVerifier:
        """For SCRAM, of the secrets that hold."""
        keys = tuple(one.keys for one in self.secrets if one.holds(now))
        return ScramVerifier(b64decode(self.salt), self.iterations, keys)

    def to_json(self, now: datetime) -> dict[str, Any]:
        """What everybody may know of it, as JSON values."""
        former = [one.until for one in self.secrets if one.until is not None and one.holds(now)]
        said = {
            "made": self.made,
            "expires": self.expires,
            "revoked": self.revoked,
            "former_until": max(former, default=None),
        }
        return {
            "name": self.name,
            "state": self.state(now),
            "views": None if self.views is None else [*self.views],
            "queries": [*self.queries],
            "limits": self.limits.model_dump(exclude_none=True),
            "operate": self.operate,
            "attributes": self.attributes,
            **{key: None if at is None else at.isoformat() for key, at in said.items()},
        }


class Tokens(Value, extra="forbid"):
    """All tokens that were ever made: a name that is revoked stays taken, so that a log never means two by it."""

    format: Literal[1] = 1
    """A file that says more than this release knows is refused, never read as if it said less."""

    tokens: tuple[Grant, ...] = ()

    def named(self, name: str) -> Grant:
        """One of them. Raises INPUT_INVALID with the names there are."""
        for one in self.tokens:
            if one.name == name:
                return one
        names = [one.name for one in self.tokens]
        close = get_close_matches(name, names, n=1)
        raise UserError(
            Condition.INPUT_INVALID,
            f"no token is named {name!r}",
            detail=", ".join(names) or "(none was made yet)",
            hint=f"did you mean {close[0]}?" if close else "name one of these, or make it: seamline tokens create",
        )

    def created(self, token: Grant) -> Tokens:
        """With one more. Raises INPUT_INVALID where its name is taken."""
        if any(one.name == token.name for one in self.tokens):
            raise UserError(
                Condition.INPUT_INVALID,
                f"a token {token.name} was made already",
                detail="a name that no token has or had",
                hint="'seamline tokens rotate' gives it a new secret; else choose another name",
            )
        return Tokens(tokens=(*self.tokens, token))

    def revoked(self, name: str, now: datetime) -> Tokens:
        """Without one, from now on. Raises INPUT_INVALID as `named` does; one that is revoked already stays so."""
        one = self.named(name)
        return self._with(one.model_copy(update={"revoked": one.revoked or now}))

    def rotated(self, name: str, text: str, until: datetime, now: datetime) -> Tokens:
        """With a new secret for one; that before holds until an instant. Raises INPUT_INVALID as `named` does, and
        where it is revoked or expired."""
        one = self.named(name)
        if one.state(now) != "valid":
            raise UserError(
                Condition.INPUT_INVALID,
                f"token {name} is {one.state(now)}",
                detail="a token that holds",
                hint="make another: seamline tokens create",
            )
        former = [old.model_copy(update={"until": min(old.until or until, until)}) for old in one.secrets[:FORMER]]
        return self._with(one.model_copy(update={"secrets": (secret_of(text, b64decode(one.salt)), *former)}))

    def _with(self, changed: Grant) -> Tokens:
        return Tokens(tokens=tuple(changed if one.name == changed.name else one for one in self.tokens))


def new_token(
    name: str,
    text: str,
    salt: bytes,
    now: datetime,
    *,
    views: Sequence[str] | None,
    queries: Sequence[str] = (),
    limits: CallerLimits = UNLIMITED,
    operate: bool = False,
    expires: datetime | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Grant:
    """A token of a text. views: None for all; queries: saved ones, whatever views they read.

    Raises INPUT_INVALID for a name that cannot be one, or an attribute.
    """
    if NAME.fullmatch(name) is None or name == LOCAL.name:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{name!r} cannot be a token's name",
            detail=f"a letter, then letters, digits, '_', '.' and '-', at most 63 in all; not {LOCAL.name}",
            hint="name who or what will ask with it, as 'grafana'",
        )
    said = {fold(key): value for key, value in (attributes or {}).items()}
    for key, value in said.items():
        if ATTRIBUTE.fullmatch(key) is None or len(value) > LONGEST_VALUE or not value.isprintable():
            raise UserError(
                Condition.INPUT_INVALID,
                f"attribute {key[:60]!r}",
                detail=f"a letter, then letters, digits, '_'; a printable value, {LONGEST_VALUE} characters at most",
                hint="write it as country=DE",
            )
    folded = None if views is None else tuple(sorted({fold(view) for view in views}))
    return Grant(
        name=name, views=folded, queries=tuple(sorted({*queries})), limits=limits, operate=operate, attributes=said,
        made=now, expires=expires, salt=b64encode(salt).decode(), secrets=(secret_of(text, salt),),
    )  # fmt: skip


def secret_of(text: str, salt: bytes) -> Secret:
    """What is kept of a token's text."""
    keys = scram_keys(text, salt)
    return Secret(
        digest=digest_of(text),
        stored_key=b64encode(keys.stored).decode(),
        server_key=b64encode(keys.server).decode(),
    )


def digest_of(text: str) -> str:
    """What a token's text is known by."""
    return hashlib.sha256(text.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two digests are equal, in a time that tells nothing of them."""
    return hmac.compare_digest(one, other)


def unauthenticated(message: str) -> UserError:
    """UNAUTHENTICATED."""
    return UserError(
        Condition.UNAUTHENTICATED,
        message,
        detail="a token that holds: Authorization: Bearer TOKEN, or as the password of a Postgres client",
        hint="who operates this serving role makes them: seamline tokens create NAME",
    )
