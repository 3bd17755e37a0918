"""A project as data products: who answers for each contract and view, what it is, promises and is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.promises import Promise, promises_in, promises_of, strictest
from seamline.schemas.contracts.yamlmarks import Marks
from seamline.schemas.project import Project
from seamline.schemas.service_levels import Promised, ServiceLevel, levels, promised, with_inherited
from seamline.schemas.views.project_views import Compiled, compile_all
from seamline.schemas.views.properties import DESCRIPTION, OWNER, tags
from seamline.serving.status import Status


@dataclass(frozen=True)
class ProductColumn:
    """A column of a product."""

    name: str
    type: str

    exactness: str
    """`exact`, or how it is not."""

    bound: str
    """How far an inexact one may be off."""

    comment: str


@dataclass(frozen=True)
class DataProduct:
    """A contract's events, or a view."""

    kind: str
    """contract or view."""

    name: str
    owner: str
    description: str
    tags: tuple[str, ...]
    stream: str

    contracts: tuple[str, ...]
    """Those whose records it counts."""

    made_of: tuple[str, ...]
    """What it is directly made of: `topic orders`, `contract orders`, `view sales`."""

    promises: tuple[Promise, ...]
    """What it promises; a view, where it says nothing itself, what its contracts do, the strictest."""

    columns: tuple[ProductColumn, ...]

    definition: str | None = None
    """A view's."""

    served: str | None = None
    """The definition that is served; None: it is not applied."""

    version: int | None = None


def products(project: Project) -> list[DataProduct]:
    """The project's contracts by name, then its views, each after what it is made of. Compiles every view; asks the
    lake once for what is served. Raises VIEW_INVALID, CONTRACT_INVALID."""
    states = Catalogue(project.lake).states
    found = [_contract(contract) for _, contract in sorted(project.contracts.items())]
    for name, compiled in compile_all(project.views, project.contracts).items():
        state = states.get(name)
        found.append(_view(compiled, state.served if state else None, state.version if state else None))
    return found


def _contract(contract: Contract) -> DataProduct:
    fields = Marks(contract.text, contract.where).data["schema"][0]["properties"]
    said = {str(field.get("name")): str(field.get("description") or "") for field in fields}
    return DataProduct(
        kind="contract", name=contract.name, owner=contract.owner, description=described(contract), tags=(),
        stream=contract.stream, contracts=(contract.name,), made_of=(f"topic {contract.topic}",),
        promises=strictest(promises_of(contract)),
        columns=tuple(ProductColumn(f.name, f.sql_type, "exact", "", said.get(f.name, "")) for f in contract.fields),
    )  # fmt: skip


def described(contract: Contract) -> str:
    """What it is for, by ODCS's `description.purpose`."""
    said = Marks(contract.text, contract.where).data.get("description") or {}
    return " ".join(str(said.get("purpose") or "").split())


def _view(compiled: Compiled, served: str | None, version: int | None) -> DataProduct:
    definition, properties = compiled.definition, compiled.definition.properties
    base = definition.base
    return DataProduct(
        kind="view", name=definition.view,
        owner=properties.get(OWNER) or ", ".join(dict.fromkeys(c.owner for c in compiled.contracts if c.owner)),
        description=properties.get(DESCRIPTION) or definition.comment, tags=tags(properties),
        stream=compiled.contracts[0].stream, contracts=definition.contracts,
        made_of=(f"view {base.of.view}",) if base else tuple(f"contract {name}" for name in definition.contracts),
        promises=with_inherited(promises_in(definition.view, properties), compiled.contracts),
        columns=tuple(
            ProductColumn(c.name, c.sql_type, str(c.exactness), c.bound, c.comment) for c in definition.columns
        ),
        definition=definition.hash, served=served, version=version,
    )  # fmt: skip


def kept(found: Iterable[DataProduct], lake: Status) -> list[ServiceLevel]:
    """Every promise of these products, held against a status. Pure."""
    return _held((Promised(f"{of.kind} {of.name}", of.stream, of.contracts, of.promises) for of in found), lake)


def kept_as_served(contracts: Mapping[str, Contract], lake: Status) -> list[ServiceLevel]:
    """Every promise of the project's contracts, and of the views as they are served. Raises CONTRACT_INVALID."""
    return _held(promised(contracts, (view.about for view in lake.views.values() if view.about is not None)), lake)


def _held(found: Iterable[Promised], lake: Status) -> list[ServiceLevel]:
    measured: list[ServiceLevel] = []
    for of in found:
        known = lake.streams.get(of.stream)
        measured += levels(of, known.waiting_seconds if known else None, known.counts if known else {})
    return measured


def products_as_json(found: Iterable[DataProduct], measured: Iterable[ServiceLevel]) -> list[dict[str, Any]]:
    """For scripts."""
    by_product: dict[str, list[Mapping[str, Any]]] = {}
    for one in measured:
        said = {
            "kind": one.promise.kind, "limit": one.promise.limit, "said": one.promise.said, "by": one.promise.by,
            "found": one.found, "missed": one.missed,
        }  # fmt: skip
        by_product.setdefault(one.product, []).append(said)
    return [
        {
            "kind": one.kind, "name": one.name, "owner": one.owner, "description": one.description,
            "tags": list(one.tags), "stream": one.stream, "made_of": list(one.made_of),
            "sla": by_product.get(f"{one.kind} {one.name}", []),
            "columns": [vars(column) for column in one.columns],
            "definition": one.definition, "served": one.served, "version": one.version,
        }
        for one in found
    ]  # fmt: skip
