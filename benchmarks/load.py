"""Many clients at once: the serving role as a process, with tokens and the audit log, while epochs go on coming.

Locust's users (load_users.py) ask it over HTTP and over PostgreSQL's protocol: 16 that never pause, then 256 that each
ask now and then. And what one client's queries that go mad cost another's quick ones: rounds with and without, in turn.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
from answer import Live
from figures import Figure, Size

from seamline.clock import system_clock
from seamline.serving.access.store import TokenStore

USERS = Path(__file__).parent / "load_users.py"
SIZES = {Size.SMALL: (1_000_000, 20, 5, 6), Size.WHOLE: (10_000_000, 60, 10, 20)}
"""Rows of the view, seconds of each load, seconds of a round beside a mad client, rounds."""

LOADS = ((16, 0.0), (256, 0.2))
"""Connections, and requests a second of each; 0: as many as are answered."""

EPOCH_SECONDS = 1.0
P99_MS = {"HTTP, a key": 1_000, "wire, a key": 1_000}
"""Pass marks, of both loads."""

MAD = (
    "SELECT damerau_levenshtein(repeat('a', 60000), repeat('b', 60000))",
    "SELECT sum(hash(a.hour, b.page)) FROM pages AS a, pages AS b",
    "SELECT count(*) FROM range(2000000000) AS a",
)
QUICK = "SELECT * FROM pages WHERE page = 'page7' AND hour >= TIMESTAMPTZ '{since}'"
_CODE = (
    "from pathlib import Path; from seamline.schemas.project import load_project;"
    "from seamline.serving.role import run_serving; run_serving(load_project(Path('.')))"
)


@dataclass(frozen=True)
class Role:
    """A serving role that runs, and who may ask it."""

    lake: Live
    url: str
    pg: str
    tokens: dict[str, str]


def measure(size: Size) -> list[Figure]:
    """For each load: requests a second, errors, and by kind the median and the 99th percentile; then the mad client."""
    rows, seconds, each, rounds = SIZES[size]
    with tempfile.TemporaryDirectory() as folder, _role(Path(folder), rows) as role, _epochs(role.lake):
        found = [figure for users, rate in LOADS for figure in _load(role, users, rate, seconds)]
        return [*found, *_beside_mad(role, each, rounds)]


def _load(role: Role, users: int, rate: float, seconds: float) -> Iterator[Figure]:
    sizes = {"connections": users, "requests a second of each": rate, "seconds": seconds}
    rows = _locust(role, users, rate, seconds)
    for row in rows:
        name = f"load, {users} connections, {row['Name']}"
        if row["Name"] == "Aggregated":
            took = float(row["Requests/s"])
            yield Figure(f"load, {users} connections, all", took, "requests/s", sizes=sizes)
            yield Figure(f"load, {users} connections, errors", float(row["Failure Count"]), "", "", sizes, "0")
            continue
        mark = P99_MS.get(row["Name"])
        yield Figure(f"{name}, median", float(row["50%"]), "ms", sizes=sizes)
        yield Figure(f"{name}, p99", float(row["99%"]), "ms", "", sizes, f"at most {mark:,}" if mark else "")


def _locust(role: Role, users: int, rate: float, seconds: float) -> list[dict[str, str]]:
    """What Locust counted, by kind of request, and of all."""
    with tempfile.TemporaryDirectory() as folder:
        told = {
            "LOAD_TOKEN": role.tokens["program"],
            "LOAD_PG": role.pg,
            "LOAD_NOW": role.lake.now.isoformat(),
            "LOAD_PAGES": str(role.lake.pages),
            "LOAD_EACH": str(rate),
        }
        options = ["--headless", "--only-summary", "--users", str(users), "--spawn-rate", str(users)]
        options += [
            "--run-time",
            f"{seconds:g}s",
            "--host",
            role.url,
            "--csv",
            f"{folder}/load",
            "--stop-timeout",
            "30",
        ]
        command = [sys.executable, "-m", "locust", "-f", str(USERS), *options]
        done = subprocess.run(command, check=False, env=os.environ | told, capture_output=True, text=True)
        if done.returncode not in (0, 1):  # 1: there were failures, which are a figure
            raise SystemExit(done.stderr)
        if "Traceback" in done.stderr:
            raise SystemExit(done.stderr)
        with open(f"{folder}/load_stats.csv", newline="") as file:
            return list(csv.DictReader(file))


def _beside_mad(role: Role, seconds: float, rounds: int) -> list[Figure]:
    """A client's quick query: the 99th percentile while another's queries go mad, over that without."""
    took: dict[bool, list[float]] = {False: [], True: []}
    for _, mad in itertools.product(range(rounds), (False, True)):
        with _madness(role) if mad else nullcontext():
            took[mad] += _quick(role, seconds)
    alone, beside = (statistics.quantiles(times, n=100)[98] for times in (took[False], took[True]))
    sizes = {"seconds of a round": seconds, "rounds": rounds, "questions": min(map(len, took.values()))}
    return [
        Figure("load, a quick query, p99", alone, "ms", sizes=sizes),
        Figure("load, a quick query beside mad ones, p99", beside, "ms", sizes=sizes),
        Figure("load, a quick query beside mad ones, p99", beside / alone, "ratio", "without", sizes, "at most 2"),
    ]


def _quick(role: Role, seconds: float) -> list[float]:
    found, until = list[float](), time.monotonic() + seconds
    sql = QUICK.format(since=role.lake.now.replace(hour=0).isoformat())
    with _client(role, "program") as client:
        while time.monotonic() < until:
            began = time.perf_counter()
            client.post("/v1/query", json={"sql": sql}).raise_for_status()
            found.append((time.perf_counter() - began) * 1000)
    return found


def _madness(role: Role) -> AbstractContextManager[None]:
    """A client that asks one mad query after another, each for a second."""

    def run(over: threading.Event) -> None:
        with _client(role, "mad") as client:
            for sql in itertools.cycle(MAD):
                if over.is_set():
                    return
                client.post("/v1/query", json={"sql": sql, "timeout": 1})

    return _meanwhile(run)


def _client(role: Role, who: str) -> httpx.Client:
    return httpx.Client(base_url=role.url, headers={"Authorization": f"Bearer {role.tokens[who]}"}, timeout=60)


def _epochs(lake: Live) -> AbstractContextManager[None]:
    """An epoch each second, as live data comes."""

    def run(over: threading.Event) -> None:
        while not over.wait(EPOCH_SECONDS):
            lake.epoch()

    return _meanwhile(run)


@contextmanager
def _meanwhile(run: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs it in a thread beside the block, until the event that it is given is set."""
    over = threading.Event()
    thread = threading.Thread(target=run, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _role(folder: Path, rows: int) -> Iterator[Role]:
    """The role over a lake of so many rows, on ports of its own."""
    lake = Live(folder / "lake", rows)
    lake.publish()
    for name in ("contracts", "views"):
        (folder / name).mkdir()
    (folder / "seamline.toml").write_text('[lake]\nuri = "lake"\n[serving]\nport = 0\npg_port = 0\nqueue = 256\n')
    store = TokenStore(folder / ".seamline" / "tokens.json", system_clock)
    tokens = {name: store.create(name, views=None)[1] for name in ("program", "mad")}
    child = subprocess.Popen([sys.executable, "-c", _CODE], cwd=folder)
    try:
        said = folder / ".seamline" / "serving.json"
        while not said.exists() or httpx.get(json.loads(said.read_text())["url"] + "/healthz").status_code != 200:
            if child.poll() is not None:
                raise SystemExit("the role has ended")
            time.sleep(0.1)
        address = json.loads(said.read_text())
        pg = address["pg_url"].replace("://", f"://program:{tokens['program']}@")
        yield Role(lake, address["url"], pg, tokens)
    finally:
        child.terminate()
        child.wait(60)
