"""A connection to a project's folder: answers are made in this process, from the lake, and no role need run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seamline.client.spelling import spelled
from seamline.connection import Connection, Values
from seamline.result import Result
from seamline.schemas.project import load_project
from seamline.serving.serving import Serving


class Beside(Connection):
    """Reads on in the ledger before each answer: what was committed before it is asked is in it."""

    def __init__(self, folder: Path) -> None:
        """Raises CONFIG_INVALID and the like where the folder is no project, STORE_UNAVAILABLE without its lake."""
        project = load_project(folder)
        self._serving = Serving(project.lake, project.settings)
        self._looking = threading.Lock()

    def query(self, sql: str, parameters: Values = (), *, as_of: int | None = None) -> Result:
        """As `Connection.query` has it."""
        self._look()
        answer = self._serving.query(sql, spelled(parameters), as_of=as_of)
        for one in answer.provenance.values():
            one.check()
        return Result(answer.table, answer.provenance.to_json(), tuple(answer.warnings))

    def status(self) -> Mapping[str, Any]:
        """As `Connection.status` has it."""
        self._look()
        return self._serving.status().to_json()

    def close(self) -> None:
        """Ends its kernels."""
        self._serving.close()

    def _look(self) -> None:
        with self._looking:  # one thread reads on, and the others wait: they are to have it too
            self._serving.catch_up()
