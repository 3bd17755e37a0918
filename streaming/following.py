"""What a running stream decodes, followed while it runs: the project's contracts, the lake's live definitions."""

from __future__ import annotations

import logging
from pathlib import Path

from seamline.clock import Clock, system_clock
from seamline.errors import SeamlineError
from seamline.hints import Hints
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, load_contracts
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition
from seamline.streaming.handover import Live

log = logging.getLogger(__name__)


class Following:
    """One stream's contracts and live definitions. `contracts` are the project's own; `reload` alone changes them."""

    def __init__(self, project: Project, stream: str, clock: Clock = system_clock) -> None:
        self.stream = stream
        self.contracts = project.contracts_of(stream)
        self.catalogue = Catalogue(project.lake)
        sweep = project.settings.serving.pace(project.lake.uri).sweep
        self._hints = Hints(project.lake.store, ("views",), sweep, clock)
        self._folder = project.folder / "contracts"
        self._stamp = _stamp(self._folder)

    @property
    def live(self) -> list[Live]:
        """Definitions that get epochs, with the contracts they decode by."""
        return [(one, self.catalogue.contracts(one.hash)) for one in self.catalogue.live(self.stream)]

    @property
    def lived_by(self) -> list[Contract]:
        """The contracts that those definitions decode by."""
        return [contract for _, contracts in self.live for contract in contracts]

    @property
    def named(self) -> dict[str, Contract]:
        """The contracts that name what is read: the project's, and those that live on in a definition alone."""
        named = {contract.name: contract for contract in self.contracts}
        for contract in self.lived_by:
            named.setdefault(contract.name, contract)
        return named

    @property
    def served(self) -> list[Definition]:
        """Those of them whose answers are served."""
        served = {state.served for state in self.catalogue.states.values()}
        return [one for one, _ in self.live if one.hash in served]

    def look(self) -> bool:
        """Reads the views' logs on; True where one changed. Where none moved it is one request."""
        moved = self._hints.look()
        changed = self.catalogue.catch_up(moved)
        self._hints.done(moved)
        return changed

    def reload(self) -> bool:
        """Reads contracts/ again where a file changed; True where that made a difference.

        A folder that cannot be read as a whole changes nothing: nothing half applied.
        """
        stamp = _stamp(self._folder)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            loaded = load_contracts(self._folder)
        except SeamlineError as error:
            log.warning("contracts/ was changed and is not used as it stands: %s", error)
            return False
        contracts = tuple(c for _, c in sorted(loaded.items()) if c.stream == self.stream)
        changed = contracts != self.contracts
        self.contracts = contracts
        return changed


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the folder's files."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return tuple((path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files)
