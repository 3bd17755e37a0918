"""The serving role as a process of its own, over a project without contracts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from places import ROOT
from waiting import wait_until

_CODE = (
    "from pathlib import Path; from seamline.schemas.project import load_project;"
    "from seamline.serving.role import run_serving; run_serving(load_project(Path('.')))"
)
ADDRESS = Path(".seamline", "serving.json")


def begun(folder: Path, **ports: int) -> subprocess.Popen[bytes]:
    """The process, with these of its ports."""
    settings = "".join(f"{name} = {port}\n" for name, port in ports.items())
    (folder / "seamline.toml").write_text(f"[serving]\n{settings}")
    for name in ("contracts", "views"):
        (folder / name).mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", _CODE], cwd=folder, stderr=subprocess.PIPE, env=env)


def address_of(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What it says of where it is."""
    file = folder / ADDRESS
    wait_until(lambda: file.exists() or process.poll() is not None, 30, "the address is written")
    found: dict[str, Any] = json.loads(file.read_text())
    return found
