"""The project that chaos comes over: a `seamline up` of its own, its processes, and an operator's commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from field import CONTRACT
from reader import Asked
from waiting import wait_until

from seamline.frontier import Frontier
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory
from seamline.history.views import ViewHistory
from seamline.jobs.plan import targets
from seamline.machine import process
from seamline.machine.supervisor import RoleState, State, read_state
from seamline.objects import folders
from seamline.operate.stack import ROLES, serving_address
from seamline.schemas.project import load_project
from seamline.schemas.views.project_views import compile_for

TOPIC = "orders"
PARTITIONS = 3
SUPERVISED = ("archive", "speed", "scheduler", "serving")

SETTINGS = f"""\
[kafka]
partitions = {PARTITIONS}
[spark]
master = "local[2]"
driver_memory = "600m"
[speed]
compact_epochs = 4
retire_seconds = 3
[archive]
trigger_ms = 500
[batch]
refresh_minutes = 0.1
keep_versions = 2
reservation_minutes = 3
[serving]
port = 0
"""
"""Compaction and retention at every turn; everything else as a user has it."""

SALES = """CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       max(placed) AS latest, avg(weight) AS weight, count(*) FILTER (WHERE amount >= {least}) AS large
FROM orders GROUP BY ALL"""

BUYERS = """CREATE MATERIALIZED VIEW buyers AS
SELECT time_bucket(INTERVAL '1 month', placed) AS month, buyer, count(*) AS orders, min(placed) AS first,
       sum(amount) AS amount
FROM orders WHERE shop <> 'd' GROUP BY ALL"""

DAILY = """CREATE MATERIALIZED VIEW daily AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(orders) AS orders, MEASURE(amount) AS amount,
       MEASURE(latest) AS latest, MEASURE(weight) AS weight, MEASURE(large) AS large
FROM sales GROUP BY ALL"""
"""Over `sales`: another definition of that is another of this."""

DAILY_OF_EVENTS = """CREATE MATERIALIZED VIEW daily AS
SELECT time_bucket(INTERVAL '1 day', placed) AS day, count(*) AS orders, sum(amount) AS amount,
       max(placed) AS latest, avg(weight) AS weight, count(*) FILTER (WHERE amount >= {least}) AS large
FROM orders GROUP BY ALL"""
"""What its answers must be equal to."""


class Broken(Exception):
    """A guarantee did not hold, or the project does not run any more."""


class World:
    """A project in `folder`, and `seamline up` over it. `texts`: the SELECT over events that each definition's answers
    must be equal to, by its hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        for part in ("contracts", "views", "tmp", "armed"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.armed = self.folder / "armed"
        self.tmp = self.folder / "tmp"
        tmp = str(self.tmp)
        self.env = {**os.environ, "TMPDIR": tmp, "SPARK_LOCAL_DIRS": tmp, "SEAMLINE_STOP_FOLDER": str(self.armed)}
        (self.folder / "contracts" / "orders.yaml").write_text(CONTRACT.format(topic=TOPIC))
        (self.folder / "seamline.toml").write_text(SETTINGS)
        self.texts: dict[str, str] = {}
        self._least = 0
        self.write("buyers", BUYERS)
        self.write("sales", SALES.format(least=0))
        self.write("daily", DAILY, DAILY_OF_EVENTS.format(least=0))
        self.project = load_project(self.folder)
        self.lake = self.project.lake
        self._up: process.Child | None = None
        self._batches: dict[str, BatchHistory] = {}
        self.extras: list[tuple[str, process.Child]] = []
        self._forgets = ForgetHistory(self.lake.forget_log("main"))
        self._buyers: dict[int, str] = {}

    # the project's text

    def write(self, view: str, text: str, over_events: str = "") -> str:
        """Puts a view's text into the project and returns the hash of its definition."""
        (self.folder / "views" / f"{view}.sql").write_text(text + ";\n")
        project = load_project(self.folder)
        definition = compile_for(project.views[view], project.contracts, project.views)[0].hash
        self.texts[definition] = over_events or text
        return definition

    def redefine(self) -> str:
        """Another definition of `sales`, none like it before, and of what is derived from it; not applied yet."""
        self._least += 10
        definition = self.write("sales", SALES.format(least=self._least))
        self.write("daily", DAILY, DAILY_OF_EVENTS.format(least=self._least))
        return definition

    # its processes

    def up(self) -> None:
        """Starts `seamline up`; it ends with this process."""
        command = [sys.executable, "-u", "-m", "seamline", "up", "--project", str(self.folder)]
        self._up = process.start(command, log=self.folder / "up.log", env=self.env)

    def kill_up(self) -> int:
        """SIGKILL to `seamline up` itself, which is then started again; returns the pid it had."""
        assert self._up is not None
        killed = self._up
        killed.clear()
        self.up()
        return killed.pid

    def down(self, seconds: float = 90) -> int | None:
        """Asks it to stop, as Ctrl-C does, and returns its exit code; whatever is left after `seconds` is killed."""
        assert self._up is not None
        self._up.terminate()
        ended = self._up.wait(seconds)
        code = self._up.exit_code() if ended else None
        self.sweep()
        self._up = None
        return code

    def sweep(self) -> None:
        """Kills everything that this world started."""
        for _, child in self.extras:
            child.clear()
        if self._up is not None:
            self._up.clear()
        for role in (*SUPERVISED, "broker"):
            found = self.pid(role)
            if found is not None:
                process.sweep(found, 20)

    def pid(self, role: str) -> int | None:
        """The process of a role, or of the broker, while it lives."""
        pid, born = self._broker() if role == "broker" else self._supervised(role)
        return pid if pid and process.born(pid) == born else None

    def live(self, role: str, seconds: float = 60) -> int:
        """The same, once there is one."""
        wait_until(lambda: self.pid(role), seconds, f"a process of {role}")
        found = self.pid(role)
        if found is None:
            raise Broken(f"{role} died as soon as it was there")
        return found

    def members(self, role: str) -> list[psutil.Process]:
        """Every process of a role: its driver, its JVM, its workers."""
        found = []
        for pid in process.session_members(self.live(role)):
            with suppress(psutil.Error):
                found.append(psutil.Process(pid))
        return found

    def _broker(self) -> tuple[int, float]:
        with suppress(OSError, ValueError, KeyError):
            said = json.loads((self.project.state / "broker" / "cluster.json").read_text())
            return int(said["pid"]), float(said["born"])
        return 0, 0.0

    def _supervised(self, role: str) -> tuple[int, float]:
        state = self.state(role)
        return (state.pid or 0, state.born) if state else (0, 0.0)

    def state(self, role: str) -> RoleState | None:
        """What the supervisor says of a role."""
        return read_state(self.project.state / ROLES, role)

    def runs(self) -> bool:
        """Whether the broker and every role are up."""
        states = [self.state(role) for role in SUPERVISED]
        alive = all(self.pid(role) is not None for role in (*SUPERVISED, "broker"))
        return alive and all(state is not None and state.state is State.RUNNING for state in states)

    def check(self) -> None:
        """Raises Broken where something ended that must go on, and where an audit found drift."""
        if self._up is not None and (code := self._up.exit_code()) is not None:
            raise Broken(f"seamline up ended with {code}; see {self.folder / 'up.log'}")
        for role in SUPERVISED:
            state = self.state(role)
            if state is not None and state.state in (State.FAILED, State.STOPPED) and self._up is not None:
                raise Broken(f"{role} is {state.state} ({state.reason}); see {state.log}")
        for definition, batch in self.audits().items():
            for number, version in batch.versions.items():
                if not version.audit.clean:
                    raise Broken(f"version {number} of definition {definition} drifted: {version.audit.drift}")

    # what the lake says

    def audits(self) -> dict[str, BatchHistory]:
        """Every batch version there was, by definition: followed, so that retention hides none."""
        for definition in folders(self.lake.store, "ledger/batch/"):
            if definition in self._batches:
                self._batches[definition].catch_up()
            else:
                self._batches[definition] = BatchHistory(self.lake.batch_log(definition))
        return self._batches

    def new_requests(self, buyer: str) -> list[int]:
        """The requests to forget that were not there before. They are this buyer's: the ledger does not say whose."""
        self._forgets.catch_up()
        new = self._forgets.requests.keys() - self._buyers.keys()
        self._buyers |= dict.fromkeys(new, buyer)
        return sorted(new)

    @property
    def asked(self) -> list[Asked]:
        """Who was asked to be forgotten."""
        return [Asked(number, self._buyers[number], one.until) for number, one in self._forgets.requests.items()]

    def forgets(self) -> bool:
        """Whether something that was asked to be forgotten is still in what is served."""
        self._forgets.catch_up()
        return bool(self._forgets.pending)

    def waiting(self, view: str) -> bool:
        """Whether a definition of a view waits to be switched to."""
        states = ViewHistory(self.lake.view_log(view)).states.values()
        served = list(states)[-1].served if states else None
        return targets(states) != (served,)

    def cut(self, view: str) -> Frontier:
        """Where the served batch version of a view ends; the start where there is none."""
        state = ViewHistory(self.lake.view_log(view)).state
        if state is None or state.served is None or state.version is None:
            return Frontier()
        return self.audits()[state.served].versions[state.version].cut

    def address(self) -> str:
        """Where the serving role listens."""
        return serving_address(self.project)

    # an operator's commands

    def command(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """`seamline …` to its end."""
        line = [sys.executable, "-m", "seamline", *words, "--project", str(self.folder)]
        return subprocess.run(line, env=self.env, capture_output=True, text=True, timeout=seconds, check=False)

    def begin(self, *words: str) -> process.Child:
        """`seamline …` beside everything else; it is looked at when all is over."""
        line = [sys.executable, "-m", "seamline", *words, "--project", str(self.folder)]
        child = process.start(line, log=self.folder / "extras.log", env=self.env)
        self.extras.append((" ".join(words), child))
        return child
