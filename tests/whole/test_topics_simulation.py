"""Topics that are moved, grown, expired and made again, in any order, while roles die: no record is silently lost."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from topics_simulation import World

CONTRACTS = ("orders", "others")
STEPS = {
    "read": 8.0,
    "send": 5.0,
    "move": 1.5,
    "expire": 2.5,
    "grow": 0.7,
    "refresh": 0.7,
    "accept": 0.5,
    "age": 0.4,
    "make": 0.2,
}
"""What happens, and how often beside the others."""


def given(what: str, chance: Random, topics: list[str]) -> tuple[Any, ...]:
    """What a step is about, by chance."""
    topic, contract, partition = chance.choice(topics), chance.choice(CONTRACTS), chance.randrange(3)
    return {
        "read": (chance.choice(("speed", "archive")), chance.randint(1, 5), chance.choice((0, 0, 0, 0, 1, 2, 3))),
        "send": (topic, partition, chance.randint(1, 4), chance.choice((0, 0, 2))),
        "expire": (topic, partition, chance.randrange(4)),
        "move": (contract,),
        "refresh": (contract,),
        "age": (chance.randint(1, 9),),
    }.get(what, (topic,))


def perform(world: World, what: str, *about: Any) -> None:
    """One step, after which all must be true."""
    steps: dict[str, Any] = {name: getattr(world, name, world.cluster.make) for name in STEPS}
    steps[what](*about)
    if what in ("read", "refresh", "age"):
        world.check()


MORE = {"quick": 0, "landing": 20, "long": 2000}[os.environ.get("HYPOTHESIS_PROFILE", "landing")]


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(100, 100 + MORE))]
)
def test_no_record_is_passed_over_or_read_twice_whatever_happens_to_topics(tmp_path: Path, seed: int) -> None:
    chance, world = Random(seed), World(tmp_path)
    for _ in range(40):
        what = chance.choices([*STEPS], [*STEPS.values()])[0]
        perform(world, what, *given(what, chance, sorted(world.cluster.logs)))
    world.finish()
