"""How long from the wheels to a first merged answer, once everything is downloaded: a new environment, a new project,
its stack in the background, records sent, a batch version made of them, and an answer of that and newer epochs.

The packages that Seamline needs stand on the new environment's path as this one has them; jars stand in their cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from importlib import import_module
from pathlib import Path
from typing import Any

from figures import Figure, Size

ROOT = Path(__file__).parents[1]
DEADLINE = 600.0
LOOK_SECONDS = 0.5
ORDER = '{{"order_id": "{}", "placed_at": "2026-03-01T10:05:00Z", "customer": "ada", "country": "FI", "amount": 1}}\n'
SQL = "SELECT sum(orders) AS n FROM orders_by_hour"


def measure(size: Size) -> list[Figure]:
    """Seconds by the clock, up to each step."""
    with tempfile.TemporaryDirectory() as folder:
        built = _wheels(Path(folder))
        took = _steps(Path(folder), built)
    sizes = {"cores": os.cpu_count() or 0}
    bars = {"a merged answer": "at most 60"}
    return [Figure(f"from the wheels to {step}", seconds, "s", "", sizes, bars.get(step, "")) for step, seconds in took]


def _wheels(folder: Path) -> list[str]:
    """Both distributions, built beforehand."""
    sys.path.append(str(ROOT / "tests/support"))
    wheels = import_module("wheels")
    source = wheels.copied(folder / "sources")
    built = wheels.wheels(folder / "wheels", source, source / "deploy/serve")
    return [str(path) for path in built.values()]


def _steps(folder: Path, built: list[str]) -> list[tuple[str, float]]:
    began, took = time.monotonic(), list[tuple[str, float]]()

    def reached(step: str) -> None:
        took.append((step, time.monotonic() - began))

    seamline = _installed(folder / "venv", built)
    reached("an installed command")
    shop = folder / "shop"
    _run(seamline, "init", str(shop), folder=folder)
    _run(seamline, "up", "--detach", "--small", folder=shop)
    try:
        reached("a running stack")
        _send(seamline, shop, 1)
        _until(lambda: _asked(seamline, shop, 1))
        reached("a first answer")
        _until(lambda: _served(seamline, shop) is not None)
        _send(seamline, shop, 2)
        _until(lambda: _asked(seamline, shop, 2))
        reached("a merged answer")
    finally:
        _run(seamline, "down", folder=shop)
    return took


def _installed(folder: Path, built: list[str]) -> Path:
    """A new environment with the wheels."""
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "downloaded.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(folder / "bin/python"),
        "install",
    ]
    subprocess.run([*pip, "--no-deps", "--no-index", "-q", *built], check=True)
    return folder / "bin/seamline"


def _run(seamline: Path, *words: str, folder: Path) -> str:
    env = {**os.environ, "SEAMLINE_SERVING__PORT": "0"}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([seamline, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def _send(seamline: Path, shop: Path, number: int) -> None:
    (shop / "events.jsonl").write_text(ORDER.format(number))
    _run(seamline, "replay", "events.jsonl", "--contract", "orders", folder=shop)


def _asked(seamline: Path, shop: Path, wanted: int) -> bool:
    rows: list[dict[str, Any]] = json.loads(_run(seamline, "query", SQL, "--format", "json", folder=shop))
    return bool(rows) and int(rows[0]["n"] or 0) == wanted


def _served(seamline: Path, shop: Path) -> int | None:
    view = json.loads(_run(seamline, "status", "--json", folder=shop))["views"]["orders_by_hour"]
    return None if view["version"] is None else int(view["version"])


def _until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("no answer came")
        time.sleep(LOOK_SECONDS)
