"""The faults: one entry each in `TABLE`. Another fault is another entry.

A strike does its fault, returns when the fault is over by itself, and says in a few words what it did. It takes every
decision from the `Random` it is given. Where there is nothing to hit it raises Missed; where Seamline does what it must
not, Broken.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from waiting import wait_until
from world import SUPERVISED, TOPIC, Broken, World

from seamline.claims import read_lease
from seamline.clock import system_clock
from seamline.commitpoint import POINTS
from seamline.errors import Condition
from seamline.history.backfills import BackfillHistory
from seamline.jobs.retention import retain

REACH_SECONDS = 40
"""How long an armed commit point may wait for somebody to reach it."""

TARGETS = (*SUPERVISED, "broker")
JVMS = ("speed", "archive", "scheduler")
VIEWS = ("sales", "buyers", "daily")
BATCHES = (("batch", "refresh"), ("batch", "rebuild"), ("backfill", "run"))


class Missed(Exception):
    """There was nothing to hit."""


Strike = Callable[[World, Random], str]


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `kills`: it counts as a kill. `weight`: how often it is dealt, against the others."""

    kind: str
    strike: Strike
    kills: bool = False
    weight: int = 1


@dataclass(frozen=True)
class Step:
    """One fault of a run: after `pause` seconds; `alone`: only once everything has recovered from those before."""

    fault: Fault
    pause: float
    alone: bool
    random: Random


def deal(seed: int) -> Iterator[Step]:
    """The faults of a seed, in order, without end: from shuffled decks, so that a long run has them all."""
    random = Random(f"{seed} faults")
    kills, others = (_deck([f for f in TABLE if f.kills is kind], random) for kind in (True, False))
    for number in range(10**9):
        fault = next(kills) if random.random() < 0.7 else next(others)
        yield Step(fault, random.uniform(0.2, 5), random.random() < 0.5, Random(f"{seed} fault {number}"))


def _deck(faults: Iterable[Fault], random: Random) -> Iterator[Fault]:
    cards = [fault for fault in faults for _ in range(fault.weight)]
    while True:
        random.shuffle(cards)
        yield from cards


# --- kills and freezes


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(role: str) -> Strike:
    """SIGKILL to the role's driver."""

    def strike(world: World, random: Random) -> str:
        pid = world.live(role)
        _send([pid], signal.SIGKILL)
        return f"pid {pid}"

    return strike


def kill_jvm(role: str) -> Strike:
    """SIGKILL to the JVM that the role has opened, as a machine short of memory does."""

    def strike(world: World, random: Random) -> str:
        found = [member for member in world.members(role) if member.name() == "java"]
        if not found:
            raise Missed(f"{role} has no JVM open")
        _send([found[0].pid], signal.SIGKILL)
        return f"pid {found[0].pid}"

    return strike


def freeze(role: str) -> Strike:
    """SIGSTOP to every process of a role for 1 to 20 s, as a machine that is suspended."""

    def strike(world: World, random: Random) -> str:
        pids = [member.pid for member in world.members(role)]
        _send(pids, signal.SIGSTOP)
        seconds = _asleep(random)
        _send(pids, signal.SIGCONT)
        return f"{len(pids)} processes for {seconds:.1f} s"

    return strike


def _asleep(random: Random) -> float:
    """Mostly a few seconds. The time itself is the fault, so it is not a condition that is waited for."""
    seconds = random.triangular(1, 20, 3)
    time.sleep(seconds)
    return seconds


def stop_at(point: str, number: signal.Signals) -> Strike:
    """Whoever reaches a commit point next is killed there, or frozen for 1 to 20 s."""

    def strike(world: World, random: Random) -> str:
        partial = world.armed / "arming"
        partial.write_text(number.name)
        partial.rename(world.armed / point)
        try:
            wait_until(lambda: not (world.armed / point).exists(), REACH_SECONDS, point)
        except AssertionError:
            with suppress(FileNotFoundError):
                (world.armed / point).unlink()
                raise Missed(f"nobody reached it within {REACH_SECONDS} s") from None
        (taken,) = world.armed.glob(f"{point}.*")
        pid = int(taken.name.rpartition(".")[2])
        said = f"pid {pid}"
        if number is signal.SIGSTOP:
            said += f" for {_asleep(random):.1f} s"
            _send([pid], signal.SIGCONT)
        taken.unlink()
        return said

    return strike


def kill_up(world: World, random: Random) -> str:
    """SIGKILL to `seamline up`, and with it to everything; it is started again at once."""
    return f"pid {world.kill_up()}"


def kill_batch(world: World, random: Random) -> str:
    """An operator's batch beside the scheduler's, killed in the middle with all its processes."""
    child = world.begin(*random.choice(BATCHES), random.choice(VIEWS))
    seconds = random.uniform(1, 12)
    time.sleep(seconds)
    child.clear()
    world.extras.remove(next(one for one in world.extras if one[1] is child))
    return f"pid {child.pid} after {seconds:.1f} s"


# --- what is lost, doubled, changed


def lose_checkpoints(world: World, random: Random) -> str:
    """All that Spark keeps of its running queries."""
    found = list(world.tmp.glob("seamline-checkpoint-*"))
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return f"{len(found)} folders"


def second_speed(world: World, random: Random) -> str:
    """It must be refused by name, and the first goes on."""
    log = world.lake.speed_log("main")
    holder = world.live("speed")

    def held() -> bool:
        lease = read_lease(world.lake, log)
        return lease is not None and lease.pid == holder and not lease.is_over(system_clock())

    try:
        wait_until(held, 30, "speed holds its log")
        ended = world.command("run", "speed", seconds=60)
    except (AssertionError, subprocess.TimeoutExpired):
        raise Missed("speed did not hold its log") from None
    if ended.returncode != 4 or Condition.WRITER_CONFLICT not in ended.stderr:
        if world.pid("speed") != holder:
            raise Missed("speed ended meanwhile")
        raise Broken(f"a second speed process was not refused: {ended.returncode} {ended.stderr}")
    return "refused"


def second_batch(world: World, random: Random) -> str:
    """An operator's batch beside the scheduler's; looked at when all is over."""
    words = (*random.choice(BATCHES), random.choice(VIEWS))
    world.begin(*words)
    return " ".join(words)


def roll_back(world: World, random: Random) -> str:
    """What was served before is served again for a moment, then what was served last."""
    view = random.choice(VIEWS)
    listed = json.loads(world.command("views", "list", "--json").stdout)
    (now,) = (line for line in listed if line["view"] == view)
    if now["version"] is None:
        raise Missed(f"{view} has no batch version yet")
    said = [_rolled(world, view)]
    time.sleep(random.uniform(0.5, 3))
    said.append(_rolled(world, view, "--definition", now["served"], "--version", str(now["version"])))
    return f"{view}: {', '.join(said)}"


def _rolled(world: World, view: str, *options: str) -> str:
    said = _took(world.command("views", "rollback", view, *options), f"rollback of {view} {options}")
    return said if said != "done" else "back" if not options else "forward"


def redefine(world: World, random: Random) -> str:
    """Another definition of a view, applied while the old one is served; it is switched to when it is built."""
    definition = world.redefine()
    ended = world.command("views", "apply")
    if ended.returncode:
        raise Broken(f"views apply ended with {ended.returncode}: {ended.stderr}")
    return definition


def pause_backfill(world: World, random: Random) -> str:
    """A backfill of every date is paused by an operator, and gone on with by another process, looked at when all is
    over."""
    view = random.choice(VIEWS)
    child = world.begin("backfill", "run", view)
    backfills = BackfillHistory(world.lake.backfill_log(view))

    def begun() -> bool:
        backfills.catch_up()
        return bool(backfills.open) or child.exit_code() is not None

    wait_until(begun, REACH_SECONDS, f"a backfill of {view}")
    if not backfills.open:
        raise Missed(f"nothing of {view} was to be computed")
    time.sleep(random.uniform(0, 2))
    said = _took(world.command("backfill", "pause", view), f"backfill pause of {view}")
    if said == "done":
        time.sleep(random.uniform(0.5, 4))
        world.begin("backfill", "resume", view)
    return f"{view}: pause {said}"


def forget_buyer(world: World, random: Random) -> str:
    """An operator has every order of a buyer forgotten, for good; the command is looked at when all is over."""
    buyer, asked = f"b{random.randrange(7)}", list[int]()
    child = world.begin("forget", "--contract", TOPIC, "--where", f"buyer = '{buyer}'", "--yes")

    def settled() -> bool:
        asked.extend(world.new_requests(buyer))
        return bool(asked) or child.exit_code() is not None

    try:
        wait_until(settled, 3 * REACH_SECONDS, "a request")
    except AssertionError:
        child.clear()  # or it would ask later, and nobody would know for whom
    asked.extend(world.new_requests(buyer))
    return f"{buyer}, request {asked}" if asked else f"{buyer}, refused"


def retry_quarantine(world: World, random: Random) -> str:
    """What is rejected is judged again, by the contract that rejected it."""
    return _took(world.command("quarantine", "retry", "--contract", TOPIC), "quarantine retry")


def _took(ended: subprocess.CompletedProcess[str], what: str) -> str:
    """What became of a command: done, or refused by a condition."""
    if ended.returncode == 0:
        return "done"
    if ended.returncode in (2, 3, 4, 75) and any(f"[{condition}]" in ended.stderr for condition in Condition):
        return "refused " + ended.stderr.partition("[")[2].partition("]")[0]
    if ended.returncode == -signal.SIGKILL:
        return "killed"
    raise Broken(f"{what} ended with {ended.returncode}: {ended.stderr}")


def drop_old(world: World, random: Random) -> str:
    """Retention of the batch layer, now."""
    removed = retain(world.lake, world.project.settings, system_clock)
    return f"{removed.entries} entries"


TABLE: tuple[Fault, ...] = (
    *(Fault(f"SIGKILL {role}", kill(role), kills=True, weight=3) for role in TARGETS),
    Fault("SIGKILL seamline up", kill_up, kills=True, weight=2),
    *(Fault(f"SIGSTOP {role}", freeze(role), kills=True, weight=2) for role in TARGETS),
    *(Fault(f"SIGKILL JVM of {role}", kill_jvm(role), kills=True) for role in JVMS),
    *(Fault(f"SIGKILL at {point}", stop_at(point, signal.SIGKILL), kills=True) for point in sorted(POINTS)),
    *(Fault(f"SIGSTOP at {point}", stop_at(point, signal.SIGSTOP), kills=True) for point in sorted(POINTS)),
    Fault("SIGKILL second batch", kill_batch, kills=True, weight=2),
    Fault("checkpoints deleted", lose_checkpoints, weight=2),
    Fault("second speed process", second_speed, weight=2),
    Fault("second batch process", second_batch, weight=2),
    Fault("rollback and forward", roll_back, weight=3),
    Fault("new definition", redefine, weight=3),
    Fault("retention forced", drop_old),
    Fault("backfill paused", pause_backfill, weight=2),
    Fault("buyer forgotten", forget_buyer, weight=2),
    Fault("quarantine retried", retry_quarantine),
)
