"""One contract's file against a project: whether it is valid, what each view would need, and which archived records it
would judge otherwise. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from seamline.advance import Show, unshown
from seamline.jobs.judging import VerdictChanged, verdicts_changed
from seamline.operate.contractdiff import ContractDifference, contract_differences
from seamline.schemas.contracts.contract import check_topics, read_contract
from seamline.schemas.project import Project


@dataclass(frozen=True)
class ContractCheck:
    """What a contract's file would change."""

    contract: str

    is_new: bool
    """The project has none of this name: no record is archived by it."""

    difference: ContractDifference

    verdicts: tuple[VerdictChanged, ...]
    """Archived records that it would judge otherwise than the project's does, the most first."""

    @property
    def rejected(self) -> int:
        """How many that are accepted would be rejected."""
        return sum(one.records for one in self.verdicts if not one.was)

    @property
    def accepted(self) -> int:
        """How many that are rejected would be accepted."""
        return sum(one.records for one in self.verdicts if not one.now)


def check_contract(project: Project, path: Path, show: Show = unshown) -> ContractCheck:
    """Reads the file as the project's contract of its name, and looks through the archive: each record is decoded by it
    once. Raises CONTRACT_INVALID where it is not valid, or not beside the project's other contracts."""
    contract = read_contract(path)
    contracts = {**project.contracts, contract.name: contract}
    check_topics(contracts)
    would = replace(project, contracts=contracts)
    was = project.contracts.get(contract.name)
    with show(f"look through what is archived of {contract.name}"):
        (difference,) = contract_differences(would, contract.name)
        kernel = project.settings.kernel
        engine = project.lake.kernel(kernel.memory, kernel.threads)
        verdicts = verdicts_changed(project.lake, engine, was, contract) if was is not None else ()
    return ContractCheck(contract.name, was is None, difference, verdicts)
