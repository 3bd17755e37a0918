"""Who somebody is that asks, by the token that they have: one answer for HTTP and for Postgres clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

from seamline.private import FileStamp, stamp_of
from seamline.serving.access.grants import NOT_KNOWN, Grant, Secret, digest_of, same, unauthenticated
from seamline.serving.access.policies import RowPolicy
from seamline.serving.access.scram import ScramVerifier
from seamline.serving.access.store import TokenStore
from seamline.serving.callers import LOCAL, Caller
from seamline.tokentext import PREFIX, is_token

Stamp = FileStamp | None
"""Of the file of tokens; None where there is none."""

SHORT = 16
"""Digits of a digest that a secret is looked up by; the rest is compared in constant time."""


@dataclass(frozen=True)
class Known:
    """The tokens as one writing of the file has them."""

    stamp: Stamp

    required: bool
    """Whether there is a file, or was one since this process began."""

    by_name: Mapping[str, Grant]

    secrets: Mapping[str, tuple[tuple[Grant, Secret], ...]]
    """By the first digits of the digest."""

    def of(self, text: str) -> tuple[Grant, Secret] | None:
        """The token whose secret, new or former, a text is."""
        digest = digest_of(text)
        return next((pair for pair in self.secrets.get(digest[:SHORT], ()) if same(pair[1].digest, digest)), None)


class Access:
    """Checks tokens against a store's file, which is read again when it has changed: a token that is revoked is refused
    from the next request on. Thread-safe: what is known changes as one value."""

    def __init__(self, store: TokenStore, policies: Mapping[str, RowPolicy] | None = None) -> None:
        """Reads the file. `policies`: which rows a token sees, by view. Raises CONFIG_INVALID as `TokenStore.read`
        does."""
        self._store = store
        self._policies = policies or {}
        self._known = self._read(self._stamp(), required=False)

    @property
    def required(self) -> bool:
        """Whether a token is needed: from the first one on that was made. A file that is gone lets nobody in."""
        return self._now_known().required

    def caller(self, text: str | None) -> Caller:
        """Who has this token. None: no token was sent, which is enough where none is required.

        Raises UNAUTHENTICATED, which says why: none sent, mistyped, unknown, replaced, expired or revoked.
        """
        known = self._now_known()
        if not known.required:
            return LOCAL
        if text is None:
            raise unauthenticated("no token")
        if not is_token(text):
            mistyped = text.startswith(PREFIX)
            raise unauthenticated("a token with a mistake in it, or not all of it" if mistyped else "what is no token")
        found = known.of(text)
        if found is None:
            raise unauthenticated(NOT_KNOWN)
        token, secret = found
        now = self._store.clock()
        token.check(now)
        if not secret.holds(now):
            raise unauthenticated(f"a former secret of token {token.name}, which another has replaced")
        return self._caller(token)

    def _caller(self, token: Grant) -> Caller:
        rules = {view: policy.rule(token.attributes) for view, policy in self._policies.items()}
        return replace(token.caller, rows=tuple(sorted(rules.items(), key=itemgetter(0))))

    def verifier(self, user: str) -> ScramVerifier | None:
        """What a Postgres client of that name is checked by; None where no token of that name holds."""
        now = self._store.clock()
        token = self._now_known().by_name.get(user)
        return token.verifier(now) if token is not None and token.state(now) == "valid" else None

    def named(self, user: str) -> Caller:
        """Who was checked by that name before, as they stand now. Raises UNAUTHENTICATED where they hold no more."""
        known = self._now_known()
        if not known.required:
            return LOCAL
        token = known.by_name.get(user)
        if token is None:
            raise unauthenticated(NOT_KNOWN)
        token.check(self._store.clock())
        return self._caller(token)

    def _now_known(self) -> Known:
        """Costs one look at the file's stamp, and reads it where that has moved."""
        stamp = self._stamp()
        if stamp != self._known.stamp:
            self._known = self._read(stamp, required=self._known.required)
        return self._known

    def _stamp(self) -> Stamp:
        try:
            return stamp_of(self._store.path)
        except FileNotFoundError:
            return None

    def _read(self, stamp: Stamp, *, required: bool) -> Known:
        by_digest: dict[str, tuple[tuple[Grant, Secret], ...]] = {}
        tokens = self._store.read().tokens
        for token, secret in _secrets(tokens):
            by_digest[secret.digest[:SHORT]] = (*by_digest.get(secret.digest[:SHORT], ()), (token, secret))
        return Known(stamp, required or stamp is not None, {one.name: one for one in tokens}, by_digest)


def _secrets(tokens: tuple[Grant, ...]) -> Iterator[tuple[Grant, Secret]]:
    return ((token, secret) for token in tokens for secret in token.secrets)
