"""The rule of copies in plain Python, applied to the log: what speed counts of each epoch, and what it may forget.

Nothing here is the code under test. What an epoch says it remembered is taken as it stands, and held against the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from truth import Event, Record, Tally

from seamline.frontier import Position

Identity = tuple[str, datetime]


def second(timestamp: datetime) -> int:
    """Of a Kafka timestamp; 0: the record has none."""
    return max(int(timestamp.timestamp()), 0)


def near(one: int, other: int, horizon: int) -> bool:
    """Whether two copies count once, as far as their times go."""
    return 0 in (one, other) or abs(one - other) <= horizon


@dataclass
class Reader:
    """One decoding, epoch by epoch. least: the least amount that it takes."""

    least: int | None
    seen: dict[Identity, list[tuple[int, int]]] = field(default_factory=dict)
    counted: dict[int, list[Event]] = field(default_factory=dict)


class Copying:
    """What a stream's decodings have counted, each record where it was read."""

    def __init__(self) -> None:
        self.readers: dict[str, Reader] = {}
        self._latest: dict[str, int] = {}

    def take(
        self, decoding: str, least: int | None, epoch: int, at: datetime, spans: tuple[tuple[int, str], ...],
        horizon: int, records: Iterable[tuple[Position, Record]], forgotten: Collection[Identity] = (),
    ) -> Tally:  # fmt: skip
        """One epoch of one decoding, in order of position. `spans` is what the epoch says it remembers, `forgotten` of
        which events each record is a copy."""
        reader, said = self.readers.setdefault(decoding, Reader(least)), Counter[str]()
        counted = reader.counted.setdefault(epoch, [])
        listed = list(records)
        for _, record in listed:
            event, said["read"] = record.accepted(least), said["read"] + 1
            if event is None:
                said["rejected"] += 1
            elif event.id is not None and (
                (event.id, event.placed) in forgotten or self._known(reader, epoch, spans, horizon, event, record)
            ):
                said["duplicate"] += 1
            else:
                said["counted"] += 1
                counted.append(event)
            if event is not None and event.id is not None:
                reader.seen.setdefault((event.id, event.placed), []).append((epoch, second(record.timestamp)))
        believed = [second(r.timestamp) for _, r in listed if r.timestamp <= at + timedelta(hours=1)]
        self._latest[decoding] = max([self._latest.get(decoding, 0), *believed])
        return Tally(**{name: said[name] for name in Tally.__dataclass_fields__})

    def _known(
        self, reader: Reader, epoch: int, spans: tuple[tuple[int, str], ...], horizon: int, event: Event, record: Record
    ) -> bool:
        assert event.id is not None
        identity, at = (event.id, event.placed), second(record.timestamp)
        here = [time for number, time in reader.seen.get(identity, []) if number == epoch]
        before = {
            (number, time): number >= spans[0][0]
            for (first, decoding), end in zip(spans, [first for first, _ in spans[1:]] + [epoch], strict=True)
            for number, time in self.readers[decoding].seen.get(identity, [])
            if (number >= first or first == spans[0][0]) and number < end
        }
        near_by = {at_: kept for at_, kept in before.items() if near(at_[1], at, horizon)}
        if any(near(time, at, horizon) for time in here) or any(near_by.values()):
            return True
        for _, time in near_by:  # it was forgotten: then this record lies far behind what was read
            latest = max(self._latest.values())
            assert 0 in (time, at) or time > latest or at + horizon // 8 < latest, (
                f"{identity} at {at} was forgotten at {latest}"
            )
        return False
