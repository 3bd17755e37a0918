"""How long a project keeps what: records in Kafka, raw, epochs, versions and logs, and where that is too short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from seamline.claims import Stay
from seamline.config import Settings
from seamline.serving.status import StreamStatus
from seamline.streaming.kafka import FALL_BEHIND, TopicKeeps
from seamline.wording import duration


@dataclass(frozen=True)
class Keeping:
    """What is kept, and for how long."""

    topics: Mapping[str, Mapping[str, TopicKeeps]]
    """By stream and topic; a stream that Kafka did not tell of is not among them."""

    bootstrap: str
    """Kafka's address, for the command that mends it."""

    settings: Settings

    raw: Mapping[str, timedelta] = field(default_factory=dict)
    """By contract that says so, how long raw keeps an event date."""

    begins: Mapping[str, date] = field(default_factory=dict)
    """By contract of which raw is gone, the event date that it begins at."""

    stays: Mapping[str, Stay] = field(default_factory=dict)
    """By contract, why dates that are past that time stay."""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """For people: what, and for how long. Topics of which the same holds stand together."""
        of, alike = self.settings, dict[str, list[str]]()
        for name, kept in sorted((name, kept) for found in self.topics.values() for name, kept in found.items()):
            alike.setdefault(_said(kept), []).append(name)
        kafka = [(f"Kafka: {', '.join(names)}", said) for said, names in alike.items()]
        return [
            *(kafka or [("Kafka", "not known")]),
            ("raw", "for ever") if not self.raw else ("raw of other contracts", "for ever"),
            *(row for name in sorted({*self.raw, *self.begins}) for row in self._raw_of(name)),
            ("raw as it stood", f"{duration(of.archive.retention_hours * 3600)}, more where a version read it"),
            ("epochs", f"{duration(of.speed.retention_hours * 3600)} after a batch version covers them"),
            ("batch versions", f"the newest {of.batch.keep_versions}"),
            ("logs", f"{of.logs.keep + 1} files of {of.logs.max_mb} MiB for each process"),
        ]

    def _raw_of(self, contract: str) -> Iterator[tuple[str, str]]:
        yield f"raw of {contract}", self._kept(contract)
        if contract in self.stays:
            stay = self.stays[contract]
            yield f"  before {stay.before}", f"not gone yet: {stay.why}"
            if stay.help:
                yield "", stay.help

    def _kept(self, contract: str) -> str:
        lasts = f"{self.raw[contract].days} days" if contract in self.raw else "for ever"
        return f"{lasts}, from {self.begins[contract]} on" if contract in self.begins else lasts

    def to_json(self) -> dict[str, Any]:
        """As JSON values; None: for ever, or without a bound."""
        of = self.settings
        kafka = {name: vars(kept) for found in self.topics.values() for name, kept in sorted(found.items())}
        return {
            "kafka": kafka,
            "raw": {
                name: {
                    "days": self.raw[name].days if name in self.raw else None,
                    "begins": self.begins[name].isoformat() if name in self.begins else None,
                    "stays": asdict(self.stays[name]) if name in self.stays else None,
                }
                for name in sorted({*self.raw, *self.begins})
            },
            "raw_as_it_stood_hours": of.archive.retention_hours,
            "epochs_hours": of.speed.retention_hours,
            "batch_versions": of.batch.keep_versions,
            "logs": {"max_mb": of.logs.max_mb, "keep": of.logs.keep},
        }


@dataclass(frozen=True)
class TooShort:
    """A topic that may lose records before they are archived."""

    topic: str

    seconds: float
    """How long it keeps them."""

    stood: float | None
    """How long records have waited while the archive filed none, where that is half as long; else None: it keeps them
    for less than a role may have to stand still."""

    bootstrap: str


def too_short(keeping: Keeping, stream: StreamStatus, now: datetime) -> Iterator[TooShort]:
    """Those of a stream. Pure."""
    for name, kept in sorted(keeping.topics.get(stream.name, {}).items()):
        if kept.seconds is None:
            continue
        filed, waits = stream.filed, stream.archive_waits
        stood = (now - filed).total_seconds() if waits and filed is not None else 0.0
        if stood >= kept.seconds / 2:
            yield TooShort(name, kept.seconds, stood, keeping.bootstrap)
        elif kept.seconds < FALL_BEHIND / timedelta(seconds=1):
            yield TooShort(name, kept.seconds, None, keeping.bootstrap)


def all_too_short(keeping: Keeping, streams: Iterable[StreamStatus], now: datetime) -> list[TooShort]:
    """Those of all streams. Pure."""
    return [one for stream in streams for one in too_short(keeping, stream, now)]


def _said(kept: TopicKeeps) -> str:
    times = "for ever" if kept.seconds is None else duration(kept.seconds)
    return times if kept.bytes is None else f"{times}, at most {kept.bytes >> 20} MiB a partition"
