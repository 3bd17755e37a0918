"""Makes a clean log of events messy, from a fixed seed: late, twice, broken, out of order. Pure.

What is right stays known: every clean line is sent at least once, every malformed one is no event at all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DUPLICATES = 0.03
HELD_BACK = 0.02
MALFORMED = 200
WINDOW = 400
"""Records are shuffled among so many neighbours, which is how far out of order they arrive."""


@dataclass(frozen=True)
class Message:
    """One record to send."""

    key: bytes | None
    value: bytes | None

    kind: str
    """Why it is there."""


@dataclass(frozen=True)
class Mess:
    """The records of a demonstration."""

    history: tuple[Message, ...]
    """Sent first."""

    live: tuple[Message, ...]
    """Sent after a batch version of it was published."""

    def count(self, kind: str) -> int:
        """Live records of one kind: event, late, duplicate, or malformed."""
        return sum(1 for message in self.live if message.kind.split(":")[0] == kind)


def make_mess(first: Sequence[bytes], second: Sequence[bytes], key: str, seed: int) -> Mess:
    """From two hours of clean JSON lines. Half of the duplicates are copies of records below the first cut."""
    dice = random.Random(seed)  # noqa: S311 - a demonstration to be repeated, not a secret
    held = set(dice.sample(range(len(first)), int(len(first) * HELD_BACK)))
    history = [_message(line, key, "event") for i, line in enumerate(first) if i not in held]
    live = [_message(line, key, "event") for line in second]
    late = [_message(first[i], key, "late") for i in sorted(held)]
    copies = int(len(live) * DUPLICATES)
    twice = [*dice.sample(history, copies // 2), *dice.sample(live, copies - copies // 2)]
    duplicates = [Message(m.key, m.value, "duplicate") for m in twice]
    broken = [malformed(i, dice.choice(second), key) for i in range(MALFORMED)]
    return Mess(tuple(history), tuple(_out_of_order(_strewn(live, [*late, *duplicates, *broken], dice), dice)))


def malformed(number: int, line: bytes, key: str) -> Message:
    """The `number`-th malformed record, made from a good line; six kinds in turn."""
    event = json.loads(line)
    name = str(event.get(key, "")).encode()
    kinds: tuple[tuple[str, bytes | None], ...] = (
        ("bad JSON", line[: len(line) // 2]),
        ("bad UTF-8", b'{"id": "\xff\xfe", ' + line[1:]),
        ("missing event time", json.dumps({k: v for k, v in event.items() if k != "dt"}).encode()),
        ("wrong type", json.dumps({**event, "commits": "many"}).encode()),
        ("null value", None),
        ("year 9999", json.dumps({**event, "dt": "9999-12-31T23:59:59Z"}).encode()),
    )
    kind, value = kinds[number % len(kinds)]
    return Message(name, value, f"malformed:{kind}")


def _message(line: bytes, key: str, kind: str) -> Message:
    return Message(str(json.loads(line)[key]).encode(), line, kind)


def _strewn(messages: Iterable[Message], others: Sequence[Message], dice: random.Random) -> list[Message]:
    """The others, each at a random place among the messages, whose order stays."""
    placed = [(float(i), m) for i, m in enumerate(messages)]
    placed += [(dice.uniform(0, len(placed)), m) for m in others]
    return [m for _, m in sorted(placed, key=lambda item: item[0])]


def _out_of_order(messages: list[Message], dice: random.Random) -> list[Message]:
    """Each record moves by at most WINDOW places."""
    order = sorted(range(len(messages)), key=lambda i: i + dice.uniform(0, WINDOW))
    return [messages[i] for i in order]
