"""The same session of clients in other languages, on PostgreSQL 15 and on the port: what they print is the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from wire_fixtures import Both

HERE = Path(__file__).resolve().parent
MADE = HERE.parents[1] / ".venv-clients"

CLIENTS = {
    "pgx and lib/pq": ([str(MADE / "go")], ""),
    "pgJDBC": (["java", "-cp", str(MADE / "jdbc" / "*"), str(HERE / "jdbc" / "Session.java")], "jdbc"),
    "node-postgres": (["node", str(HERE / "node" / "session.js")], ""),
    "ADBC": ([str(MADE / "adbc" / "bin" / "python"), str(HERE / "adbc_session.py")], ""),
}


def said(command: list[str], url: str) -> str:
    done = subprocess.run(
        [*command, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            "NODE_PATH": str(MADE / "node" / "node_modules"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PGUSER": "me",
            "TZ": "UTC",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_sees_what_it_sees_of_postgres(both: Both, name: str) -> None:
    command, protocol = CLIENTS[name]
    theirs, ours = both.urls()
    if protocol == "jdbc":
        theirs, ours = (
            f"jdbc:postgresql://127.0.0.1:{port}/seamline?user=me" for port in (both.postgres, both.port.number)
        )
    wanted = said(command, theirs)
    assert wanted
    assert said(command, ours) == wanted
