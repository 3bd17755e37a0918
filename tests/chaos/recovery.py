"""How long it took until answers covered what was sent after a fault."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from producer import Producer
from reader import Ask

from seamline.frontier import Frontier


class Answers:
    """When each answer came (seconds of the monotonic clock), and what it covers. Several readers may share it."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, Frontier]] = []

    def of(self, ask: Ask) -> Ask:
        """The same ask, listened to."""

        def listened(sql: str) -> Mapping[str, Any]:
            body = ask(sql)
            for said in body["provenance"].values():
                self.heard.append((time.monotonic(), Frontier.from_json(said["reached"])))
            return body

        return listened


@dataclass(frozen=True)
class Struck:
    """A fault that has happened. `over`: when (a kill: at once; a freeze: when it was woken), on the monotonic clock.

    `alone`: everything ran, and answers were fresh, when it came.
    """

    kind: str
    kill: bool
    over: float
    alone: bool


def recovered(struck: Struck, producer: Producer, answers: Answers) -> float | None:
    """Seconds from the fault's end to the first answer that covers a record sent after it; None: not yet."""
    first = producer.after(struck.over)
    if first is None:
        return None
    start = bisect_left(answers.heard, struck.over, key=lambda one: one[0])
    covering = (moment for moment, reached in answers.heard[start:] if reached.covers(first.position))
    moment = next(covering, None)
    return None if moment is None else moment - struck.over


def worst(times: Iterable[float | None]) -> float | None:
    """The longest of those that are known."""
    return max((one for one in times if one is not None), default=None)
