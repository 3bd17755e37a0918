"""Writes the records of a small social network: sign-ups, page views, posts, likes and follows, in order of arrival.

Standard library only, and the same arguments give the same bytes. Some records come late, twice or broken, in known
shares; what becomes of each is known here, and printed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Event = dict[str, Any]

SAMPLE = Path(__file__).parent / "social.jsonl.gz"
FIRST_DAY = datetime(2025, 3, 3, tzinfo=UTC)
DAYS = 3
LATE, TWICE, BROKEN = 0.05, 0.03, 0.01
"""Shares of the events: come 1 to 20 hours late, come twice, and broken records on top."""

CONTRACTS = {"page_view": "page_views", "sign_up": "sign_ups", "post": "posts", "like": "likes", "follow": "follows"}
KINDS = {"page_view": 70, "like": 15, "follow": 7, "post": 4, "sign_up": 4}
HOURS = [2, 1, 1, 1, 1, 2, 4, 7, 8, 7, 6, 6, 8, 8, 7, 7, 8, 9, 11, 13, 14, 12, 8, 4]
"""How busy each hour of a day is."""
PAGES = {"home": 40, "profile": 25, "post": 20, "search": 12, "settings": 3}
DEVICES = {("phone", "Android"): 40, ("phone", "iOS"): 25, ("desktop", "Windows"): 20, ("desktop", "Linux"): 15}
CHANNELS = {"friend": 40, "search": 30, "news": 20, "advert": 10}
TAGS = ["art", "bikes", "books", "cats", "food", "garden", "maps", "music", "sea", "trains"]


@dataclass
class Network:
    """Who and what there is by now; `likes` and `follows` can be taken back."""

    users: int = 300
    posts: list[tuple[str, str]] = field(default_factory=lambda: [("p1", "u1"), ("p2", "u2"), ("p3", "u3")])
    likes: set[tuple[str, str]] = field(default_factory=set)
    follows: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Counts:
    """What is known of the records: by contract, and for rejected ones by (contract, reason)."""

    counted: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    late: int = 0

    def table(self) -> str:
        """Markdown: law 3's terms by contract, then why records are rejected."""
        lines = ["| contract | read | counted | duplicate | rejected |", "|---|---|---|---|---|"]
        for contract in [*CONTRACTS.values(), ""]:
            rejected = sum(n for (of, _), n in self.rejected.items() if of == contract)
            counted, twice = self.counted[contract], self.duplicates[contract]
            name = f"`{contract}`" if contract else "none"
            lines.append(f"| {name} | {counted + twice + rejected:,} | {counted:,} | {twice:,} | {rejected:,} |")
        lines += ["", "| contract | rejected because | records |", "|---|---|---|"]
        for (contract, reason), n in sorted(self.rejected.items()):
            lines.append(f"| {f'`{contract}`' if contract else 'none'} | {reason} | {n:,} |")
        return "\n".join(lines)


def make(events: int, seed: int) -> tuple[list[bytes], Counts]:
    """The lines in order of arrival, and what becomes of them."""
    dice = random.Random(seed)  # noqa: S311 - data to be made again, not a secret
    happened = list(happen(events, dice))
    counts = Counts(counted=Counter(CONTRACTS[event["kind"]] for event in happened))
    arrivals: list[tuple[datetime, bytes]] = []
    for event in happened:
        arrival = datetime.fromisoformat(event["happened"]) + timedelta(milliseconds=dice.randrange(3000))
        if dice.random() < LATE:
            arrival += timedelta(minutes=dice.randrange(60, 1200))
            counts.late += 1
        arrivals.append((arrival, line(event)))
        if dice.random() < TWICE:
            counts.duplicates[CONTRACTS[event["kind"]]] += 1
            # every other copy is the same event in other bytes
            copy = dict(reversed(event.items())) if dice.random() < 0.5 else event
            arrivals.append((arrival + timedelta(seconds=dice.randrange(1, 1800)), line(copy)))
    for number in range(int(events * BROKEN)):
        kind, reason, broken = BREAKS[number % len(BREAKS)]
        event = dice.choice([one for one in happened if kind in ("", one["kind"])])
        counts.rejected[CONTRACTS.get(kind, ""), reason] += 1
        arrivals.append((datetime.fromisoformat(event["happened"]), broken({**event, "id": f"x{number}"})))
    return [value for _, value in sorted(arrivals)], counts


def happen(events: int, dice: random.Random) -> Iterator[Event]:
    """Events in order of time."""
    network = Network()
    for number, at in enumerate(sorted(moment(dice) for _ in range(events)), start=1):
        kind = pick(KINDS, dice)
        if kind == "sign_up":
            network.users += 1
        user = f"u{network.users if kind == 'sign_up' else popular(network.users, dice) + 1}"
        time = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
        head = {"id": f"e{number}", "kind": kind, "happened": time, "member": user}
        yield {**head, **DETAILS[kind](network, user, dice)}


def page_view(network: Network, user: str, dice: random.Random) -> Event:
    page = pick(PAGES, dice)
    kind, system = pick(DEVICES, dice)
    about = {"post": dice.choice(network.posts)[0]} if page == "post" else {}
    milliseconds = int(1000 / (dice.random() + 0.003))
    return {"page": page, **about, "milliseconds": milliseconds, "device": {"type": kind, "system": system}}


def sign_up(network: Network, user: str, dice: random.Random) -> Event:
    channel = pick(CHANNELS, dice)
    confirmed = dice.random() < (0.9 if channel == "friend" else 0.6)
    return {"channel": channel, "age": dice.randrange(13, 80), "confirmed": confirmed}


def post(network: Network, user: str, dice: random.Random) -> Event:
    name = f"p{len(network.posts) + 1}"
    network.posts.append((name, user))
    audience = {"who": "friends", "circle": dice.randrange(5, 50)} if dice.random() < 0.3 else {"who": "public"}
    tags = dice.sample(TAGS, dice.randrange(4))
    return {"post": name, "length": dice.randrange(1, 500), "tags": tags, "audience": audience}


def like(network: Network, user: str, dice: random.Random) -> Event:
    name, author = network.posts[-1 - popular(len(network.posts), dice)]
    return {"post": name, "author": author, "change": toggled(network.likes, (user, name))}


def follow(network: Network, user: str, dice: random.Random) -> Event:
    whom = f"u{popular(network.users, dice) + 1}"
    return {"whom": whom, "change": toggled(network.follows, (user, whom))}


DETAILS: dict[str, Callable[[Network, str, random.Random], Event]] = {
    "page_view": page_view,
    "sign_up": sign_up,
    "post": post,
    "like": like,
    "follow": follow,
}

BREAKS: tuple[tuple[str, str, Callable[[Event], bytes]], ...] = (
    ("", "bad JSON", lambda e: line(e)[:-9]),
    ("page_view", "rule enum: page", lambda e: line({**e, "page": "inbox"})),
    ("", "no contract claims this record", lambda e: line({**e, "kind": "poke"})),
    ("page_view", "missing: happened", lambda e: line({k: v for k, v in e.items() if k != "happened"})),
    ("sign_up", "rule min: age", lambda e: line({**e, "age": 7})),
    ("", "no discriminator: kind", lambda e: line({k: v for k, v in e.items() if k != "kind"})),
    ("page_view", "wrong type: milliseconds", lambda e: line({**e, "milliseconds": "soon"})),
    ("post", "rule pattern: tags[]", lambda e: line({**e, "tags": ["sea", "Not a tag!"]})),
    ("", "bad UTF-8", lambda e: line(e).replace(b'"u', b'"\xff', 1)),
    ("page_view", "missing: device.type", lambda e: line({**e, "device": {"system": "Plan 9"}})),
    ("like", "rule enum: change", lambda e: line({**e, "change": 2})),
    ("follow", "rule pattern: whom", lambda e: line({**e, "whom": "everybody"})),
    ("post", "event time in the future", lambda e: line({**e, "happened": "9999-12-31T23:59:59Z"})),
    ("page_view", "rule max: milliseconds", lambda e: line({**e, "milliseconds": 10**9})),
)
"""Each way to break a record: the kind it stays ('' where no contract can claim it), and the reason it is rejected."""


def moment(dice: random.Random) -> datetime:
    hour = dice.choices(range(24), HOURS)[0]
    return FIRST_DAY + timedelta(days=dice.randrange(DAYS), hours=hour, milliseconds=dice.randrange(3_600_000))


def pick(weighted: dict[Any, int], dice: random.Random) -> Any:
    return dice.choices(list(weighted), list(weighted.values()))[0]


def popular(count: int, dice: random.Random) -> int:
    """A number below `count`, small ones far more often."""
    draw = dice.random()
    return int(count * draw * draw * draw)


def toggled(done: set[tuple[str, str]], what: tuple[str, str]) -> int:
    """1 where it is done, -1 where it is taken back."""
    if what in done:
        done.remove(what)
        return -1
    done.add(what)
    return 1


def line(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=8000, help="how many distinct valid events (default: 8000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=SAMPLE, help="a .jsonl.gz file (default: the sample here)")
    given = parser.parse_args()
    lines, counts = make(given.events, given.seed)
    given.output.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))
    print(f"{len(lines):,} records, {counts.late:,} of them over an hour late, to {given.output}\n\n{counts.table()}")


if __name__ == "__main__":
    main()
