"""The file that tokens are kept in: read by whoever serves, changed by the command line alone, one change at a time."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from seamline.clock import Clock, system_clock
from seamline.config import Settings
from seamline.errors import Condition, UserError
from seamline.private import made, put_whole
from seamline.schemas.project import STATE
from seamline.serving.access.grants import Grant, Tokens, new_token
from seamline.serving.access.scram import SALT_BYTES
from seamline.serving.callers import UNLIMITED, CallerLimits
from seamline.tokentext import BYTES, token_of

FILE = "tokens.json"
MODE = 0o600


@dataclass(frozen=True)
class TokenStore:
    """Tokens in a file. Every change reads, decides and writes the whole of it, under a lock."""

    path: Path
    clock: Clock = system_clock

    random: Callable[[int], bytes] = secrets.token_bytes
    """So many random bytes."""

    def read(self) -> Tokens:
        """What it holds; nothing where there is no file. Raises CONFIG_INVALID for one that cannot be read, or that
        others may write."""
        try:
            mode, text = self.path.stat().st_mode, self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Tokens()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(str(error)) from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self._unreadable("others may write it")
        try:
            return Tokens.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise self._unreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    def create(
        self,
        name: str,
        *,
        views: Sequence[str] | None,
        queries: Sequence[str] = (),
        limits: CallerLimits = UNLIMITED,
        operate: bool = False,
        lasts: timedelta | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> tuple[Grant, str]:
        """Makes a token; it, and its text, which is nowhere else. Raises INPUT_INVALID for a name that is taken, or
        cannot be one."""
        text, salt, now = token_of(self.random(BYTES)), self.random(SALT_BYTES), self.clock()
        expires = None if lasts is None else now + lasts
        token = new_token(
            name, text, salt, now, views=views, queries=queries, limits=limits, operate=operate,
            expires=expires, attributes=attributes,
        )  # fmt: skip
        self._change(lambda tokens: tokens.created(token))
        return token, text

    def revoke(self, name: str) -> Grant:
        """Ends a token. Raises INPUT_INVALID for a name that there is not."""
        now = self.clock()
        return self._change(lambda tokens: tokens.revoked(name, now)).named(name)

    def rotate(self, name: str, grace: timedelta) -> tuple[Grant, str]:
        """Gives a token another secret; it, and the new text. That before holds for `grace` more. Raises INPUT_INVALID
        for a name that there is not, and a token that holds no more."""
        text, now = token_of(self.random(BYTES)), self.clock()
        return self._change(lambda tokens: tokens.rotated(name, text, now + grace, now)).named(name), text

    def _change(self, change: Callable[[Tokens], Tokens]) -> Tokens:
        with FileLock(made(self.path.parent) / f".{self.path.name}.lock", mode=MODE):
            changed = change(self.read())
            put_whole(self.path, changed.model_dump_json(indent=1) + "\n", MODE)
        return changed

    def _unreadable(self, why: str) -> UserError:
        return UserError(
            Condition.CONFIG_INVALID,
            f"the file of tokens cannot be used: {why}",
            detail="a file that 'seamline tokens' of this release wrote, open to its owner alone",
            hint="correct its owner and mode, or restore it; nobody is let in meanwhile",
            where=str(self.path),
        )


def tokens_of(folder: Path, settings: Settings, clock: Clock = system_clock) -> TokenStore:
    """Where the tokens of the project in a folder are kept: `serving.tokens`, else among what this machine keeps. No
    more of the project is read: a contract that is wrong is no reason not to revoke one."""
    named = settings.serving.tokens
    return TokenStore(folder / named if named else folder / STATE / FILE, clock)
