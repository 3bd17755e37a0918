"""A user's project: a folder with seamline.toml, contracts/ and views/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seamline.config import Settings, load_settings
from seamline.errors import Condition, UserError
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract, load_contracts
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.text import load_views
from seamline.schemes import scheme

STATE = ".seamline"
BOOTSTRAP = "bootstrap"
"""In the state folder: where the embedded broker listens."""

ADDRESS = "serving.json"
"""In the state folder while the serving role runs: url, host, port, pid."""


@dataclass(frozen=True)
class Project:
    """Everything a user wrote, parsed and checked."""

    folder: Path
    settings: Settings

    contracts: dict[str, Contract]
    """By name."""

    views: dict[str, ParsedView]
    """By name."""

    @property
    def state(self) -> Path:
        """The folder for what this machine keeps: broker, logs, process states. Not the lake. Who writes makes it."""
        return self.folder / STATE

    @cached_property
    def lake(self) -> Lake:
        """The lake; a relative URI is relative to the project."""
        uri = self.settings.lake.uri
        return Lake.open(uri if scheme(uri) else str(self.folder / uri))

    @property
    def bootstrap(self) -> str:
        """The broker's address: the configured one, or the embedded broker's. Raises BROKER_UNAVAILABLE."""
        if self.settings.kafka.bootstrap_servers:
            return self.settings.kafka.bootstrap_servers
        kept = self.state / BOOTSTRAP
        if kept.is_file():
            return kept.read_text(encoding="utf-8").strip()
        raise UserError(
            Condition.BROKER_UNAVAILABLE,
            "no broker is configured and the embedded one was never started here",
            hint="run 'seamline up' in this project, or set kafka.bootstrap_servers in seamline.toml",
            where=str(self.folder),
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """Every stream that a contract names."""
        return tuple(sorted({contract.stream for contract in self.contracts.values()})) or ("main",)

    def contracts_of(self, stream: str) -> tuple[Contract, ...]:
        """The contracts of one stream, by name."""
        return tuple(c for _, c in sorted(self.contracts.items()) if c.stream == stream)

    def contract(self, name: str) -> Contract:
        """One contract. Raises CONTRACT_UNKNOWN with the names there are."""
        if name not in self.contracts:
            raise UserError(
                Condition.CONTRACT_UNKNOWN,
                f"contract {name!r}",
                detail=", ".join(sorted(self.contracts)) or "(the project has none)",
                hint=f"name one of these, or add {self.folder / 'contracts'}/{name}.yaml",
            )
        return self.contracts[name]


def load_project(folder: Path) -> Project:
    """Reads and checks a whole project before anything is applied. Raises CONFIG_, CONTRACT_ or VIEW_INVALID."""
    folder = folder.absolute()
    settings = load_settings(folder)
    return Project(folder, settings, load_contracts(folder / "contracts"), load_views(folder / "views"))
