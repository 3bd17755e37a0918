"""Which process it is, on file: a pid alone may be somebody else's by now."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from seamline.machine.process import born


@dataclass(frozen=True)
class Identity:
    """A process of a machine."""

    host: str
    pid: int

    born: float
    """When it was created (seconds since 1970)."""

    @classmethod
    def own(cls) -> Self:
        """This process's."""
        return cls(socket.gethostname(), os.getpid(), born(os.getpid()))

    @property
    def is_here(self) -> bool:
        """Whether it was started on this machine: of others nothing can be known."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether this very process is there, on this machine."""
        return self.is_here and self.born > 0 and born(self.pid) == self.born

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        partial = path.with_name(f".{path.name}.tmp")
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(partial, path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The one that was written there; None where there is none, or nothing that says one."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(said["host"]), int(said["pid"]), float(said["born"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
