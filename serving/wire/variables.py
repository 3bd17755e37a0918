"""What a session has set, as SET, SHOW and RESET know it: one entry a setting, with what it may be.

Answers are always written in UTC, ISO and UTF-8. What says otherwise is refused, or told about; never taken in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seamline.serving.wire.failing import WireError

VERSION = "15.0 (Seamline)"
"""Whose dialect and catalogue a client finds: PostgreSQL 15's."""

_UTC = ("utc", "gmt", "etc/utc", "etc/gmt", "zulu", "uct", "z", "0", "+0", "+00", "+00:00", "00:00", "default", "local")
_UNITS = {"": 0.001, "us": 1e-6, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Setting:
    """One setting."""

    default: str

    taken: Callable[[str, str], str] | None = None
    """Makes of its name and a given value what is kept, or raises WireError; None: it cannot be changed."""

    reported: bool = False
    """Whether a client is told it, at the start and when it changes."""


def anything(name: str, value: str) -> str:
    """Kept, and without effect on answers."""
    del name
    return value


def only(*allowed: str) -> Callable[[str, str], str]:
    """One of these, compared without case; the first is what is kept."""

    def taken(name: str, value: str) -> str:
        if value.strip().lower() not in [one.lower() for one in allowed]:
            raise invalid(name, value, f"it is always {allowed[0]} here")
        return allowed[0]

    return taken


def invalid(name: str, value: str, detail: str, hint: str = "") -> WireError:
    """22023."""
    return WireError("22023", f'invalid value for parameter "{name}": "{value}"', detail=detail, hint=hint)


def _style(name: str, value: str) -> str:
    words = [one.strip().lower() for one in value.split(",")]
    if any(one not in ("iso", "mdy", "dmy", "ymd", "us", "euro", "european") for one in words):
        raise invalid(name, value, "it is always ISO here")
    return "ISO, MDY"


def _zone(name: str, value: str) -> str:
    """UTC by any of its names. Another is told about by who sets it: it changes nothing."""
    del name, value
    return "UTC"


def is_utc(value: str) -> bool:
    """Whether a zone is UTC."""
    return value.strip().strip("'").lower() in _UTC


def _timeout(name: str, value: str) -> str:
    seconds(name, value)
    return value


def seconds(name: str, value: str) -> float | None:
    """A time with its unit, of milliseconds where it has none; None for 0: no limit of its own."""
    found = re.fullmatch(r"\s*(\d{1,12}(?:\.\d*)?)\s*([a-z]*)\s*", value)
    if found is None or found[2] not in _UNITS:
        raise invalid(name, value, f"a number with a unit: {', '.join(filter(None, _UNITS))}")
    return float(found[1]) * _UNITS[found[2]] or None


def _number(name: str, value: str) -> str:
    if value and not (value.isdecimal() and len(value) < 16):
        raise invalid(name, value, "an epoch's number, or DEFAULT for the newest")
    return value


def _read_only(name: str, value: str) -> str:
    if value.strip().lower() not in ("on", "true", "yes", "1", "t"):
        raise WireError("0A000", "cannot set transaction read-write mode: nothing can be written here")
    return "on"


def _isolation(name: str, value: str) -> str:
    if value.strip().lower() not in ("read committed", "read uncommitted"):
        raise WireError(
            "0A000", f"isolation level {value}", detail="read committed: each statement sees one snapshot",
            hint="SET seamline.as_of = N asks every statement as of one epoch",
        )  # fmt: skip
    return "read committed"


def _encoding(name: str, value: str) -> str:
    if "".join(filter(str.isalnum, value.lower())) not in ("utf8", "unicode", "sqlascii"):
        raise invalid(name, value, "it is always UTF8 here")
    return "UTF8"


_ON = only("on", "true", "yes", "1", "t")

SETTINGS: dict[str, Setting] = {
    "application_name": Setting("", anything, reported=True),
    "client_encoding": Setting("UTF8", _encoding, reported=True),
    "DateStyle": Setting("ISO, MDY", _style, reported=True),
    "default_transaction_read_only": Setting("on", _read_only, reported=True),
    "in_hot_standby": Setting("off", reported=True),
    "integer_datetimes": Setting("on", reported=True),
    "IntervalStyle": Setting("postgres", only("postgres"), reported=True),
    "is_superuser": Setting("off", reported=True),
    "server_encoding": Setting("UTF8", reported=True),
    "server_version": Setting(VERSION, reported=True),
    "session_authorization": Setting("", reported=True),
    "standard_conforming_strings": Setting("on", _ON, reported=True),
    "TimeZone": Setting("UTC", _zone, reported=True),
    "server_version_num": Setting("150000"),
    "seamline.as_of": Setting("", _number),
    "seamline.at_least": Setting("", _number),
    "seamline.max_rows": Setting("", _number),
    "seamline.provenance": Setting("{}"),
    "seamline.warnings": Setting("[]"),
    "statement_timeout": Setting("0", _timeout),
    "bytea_output": Setting("hex", only("hex")),
    "default_transaction_isolation": Setting("read committed", _isolation),
    "transaction_isolation": Setting("read committed", _isolation),
    "transaction_read_only": Setting("on", _read_only),
    "default_transaction_deferrable": Setting("off", anything),
    "transaction_deferrable": Setting("off", anything),
    "block_size": Setting("8192"),
    "lc_collate": Setting("C"),
    "lc_ctype": Setting("C.UTF-8"),
    "max_connections": Setting("100"),
    "max_identifier_length": Setting("63"),
    "max_index_keys": Setting("32"),
    **{
        name: Setting(default, anything)
        for name, default in (
            ("search_path", "public"), ("extra_float_digits", "1"), ("client_min_messages", "notice"),
            ("escape_string_warning", "on"), ("backslash_quote", "safe_encoding"), ("row_security", "on"),
            ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0"), ("idle_session_timeout", "0"),
            ("jit", "off"), ("work_mem", "4MB"), ("synchronous_commit", "on"), ("check_function_bodies", "on"),
            ("lc_messages", "C"), ("lc_monetary", "C"), ("lc_numeric", "C"), ("lc_time", "C"),
            ("default_table_access_method", "heap"), ("default_tablespace", ""), ("temp_tablespaces", ""),
            ("default_toast_compression", "pglz"), ("enable_seqscan", "on"), ("enable_nestloop", "on"),
            ("geqo", "on"), ("quote_all_identifiers", "off"),
            ("cursor_tuple_fraction", "0.1"), ("max_parallel_workers_per_gather", "0"), ("xmloption", "content"),
        )
    },
}  # fmt: skip
_FOLDED = {name.lower(): name for name in SETTINGS}


class Variables:
    """The settings of one session; what changes is which of them, and in which transaction."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """`given`: by the client at the start; they are what RESET goes back to. Raises WireError."""
        self._begun = {name: one.default for name, one in SETTINGS.items()}
        self._now = self._begun
        for name, value in given.items():
            self.set(name, value)
        self._begun = dict(self._now)
        self._before: dict[str, str] | None = None
        self._local: dict[str, str] = {}

    def get(self, name: str) -> str:
        """A setting. Raises WireError 42704 for one that there is not."""
        return self._now[self.named(name)]

    def all(self) -> dict[str, str]:
        """All of them, by name."""
        return dict(sorted(self._now.items(), key=lambda item: item[0].lower()))

    def reported(self) -> dict[str, str]:
        """What a client is told."""
        return {name: value for name, value in self._now.items() if name in SETTINGS and SETTINGS[name].reported}

    def note(self, name: str, value: str) -> None:
        """Sets what only the server sets."""
        self._now = {**self._now, name: value}

    def set(self, name: str, value: str | None, local: bool = False) -> None:
        """Sets one; None: as at the start. Raises WireError."""
        known = self.named(name, also=True)
        setting = SETTINGS.get(known, Setting("", anything))
        if value is None:
            value = self._begun.get(known, setting.default)
        elif setting.taken is None:
            raise WireError("55P02", f'parameter "{known}" cannot be changed')
        else:
            value = setting.taken(known, value)
        if local:
            self._local.setdefault(known, self._now.get(known, setting.default))
        self._now = {**self._now, known: value}

    def reset(self) -> None:
        """All of them as at the start, but those that only the server sets."""
        kept = {name: self._now[name] for name, one in SETTINGS.items() if one.taken is None}
        self._now = {**self._begun, **kept}

    def begin(self) -> None:
        """From here on they may be undone."""
        self._before = self._now

    def end(self, undone: bool) -> None:
        """A transaction ends: what was set in it stays, or does not."""
        if undone and self._before is not None:
            self._now = self._before
        elif self._local:
            self._now = {**self._now, **self._local}
        self._before, self._local = None, {}

    def named(self, name: str, also: bool = False) -> str:
        """A setting's name as it is written. `also`: one of an extension, which there need not be before."""
        known = _FOLDED.get(name.lower(), name.lower())
        own = "." in known and not known.startswith("seamline.")
        if known not in self._now and not (also and own and len(self._now) < 200):
            raise WireError("42704", f'unrecognized configuration parameter "{name}"')
        return known
