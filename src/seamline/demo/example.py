"""The example that the demo runs, and what is true of it: two hours of GitHub events, one contract, one view."""

from __future__ import annotations

import gzip
from pathlib import Path

FOLDER = Path(__file__).parent / "github"
"""The project with its events: installed beside this file, in a source checkout `examples/github`."""

CONTRACT = "github_events"
VIEW = "repo_activity"
COUNTING = f"SELECT sum(events) AS events, sum(commits) AS commits FROM {VIEW}"
"""What is asked again and again of the view."""

TRUE_COUNTING = "SELECT count(*) AS events, sum(commits) AS commits FROM events WHERE type <> 'golem'"
"""The same of the events."""


def files() -> list[Path]:
    """The events, a file an hour, in order."""
    return sorted(FOLDER.glob("*.jsonl.gz"))


def hours() -> list[list[bytes]]:
    """The lines of the two hours."""
    return [gzip.decompress(path.read_bytes()).splitlines() for path in files()]
