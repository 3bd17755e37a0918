"""Topics, raw tables and views as datasets of lineage, with the columns that each column of a view is made of. Pure.

Names are as OpenLineage's naming asks: a topic in its cluster, a Delta table by its place; a view, which lies at no one
place, in its lake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlparse

from seamline.kernel import fold
from seamline.lake import Lake
from seamline.observe.lineage import ColumnOrigin, LineageDataset, Transformation
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.definition import Definition, Output

NAME = r'"((?:[^"]|"")*)"'
READ = re.compile(rf"\b(?:events|partials)\.{NAME}|\bmeasure\({NAME}\)")
"""What a column's expression reads, as a definition's identity has it: quoted, and told apart from names within."""

GIVEN = re.compile(rf"(.*?) as {NAME}(?:, | from )", re.DOTALL)
"""What a contract of a union gives: its expression, and the union's column."""

TEXTS = re.compile(r"'(?:[^']|'')*'")


def topics(contracts: Iterable[Contract], bootstrap: str) -> list[LineageDataset]:
    """The topics of these contracts; the columns of one are those of all its contracts. `bootstrap`: the cluster."""
    found = dict[str, list[Contract]]()
    for contract in contracts:
        found.setdefault(contract.topic, []).append(contract)
    return [replace(topic(of[0], bootstrap), columns=_columns(of)) for _, of in sorted(found.items())]


def topic(contract: Contract, bootstrap: str) -> LineageDataset:
    """A contract's topic; its columns are those of this contract alone."""
    return LineageDataset(
        f"kafka://{bootstrap.split(',', maxsplit=1)[0].strip()}", contract.topic, _columns([contract])
    )


def raw_tables(lake: Lake, contracts: Iterable[Contract]) -> list[LineageDataset]:
    """The raw tables of these contracts."""
    return [raw_table(lake, contract) for contract in contracts]


def raw_table(lake: Lake, contract: Contract) -> LineageDataset:
    """A contract's raw table."""
    place = lake.absolute(lake.raw_path(contract.name, contract.layout))
    uri = urlparse(place)
    store = uri._replace(path="", params="", query="", fragment="").geturl()
    namespace, name = (store, uri.path.strip("/")) if uri.netloc else ("file", uri.path)
    return LineageDataset(namespace, name, _columns([contract]))


def view(
    lake: Lake, definition: Definition, contracts: Iterable[Contract], source: Callable[[Contract], LineageDataset]
) -> LineageDataset:
    """A view, with what its columns are made of. `source`: where a contract's records are read; a view over a view is
    made of that one."""
    by_name = {contract.name: contract for contract in contracts}
    origins = {}
    for output in definition.columns:
        if definition.base is not None:
            found = list(_of_base(lake, definition.base.of, output))
        else:
            read = {name: source(by_name[name]) for name in definition.contracts if name in by_name}
            found = [one for name, of in read.items() for one in _of_contract(definition, by_name[name], of, output)]
        if found:
            origins[output.name] = tuple(dict.fromkeys(found))
    columns = tuple((one.name, one.sql_type, one.comment) for one in definition.columns)
    return LineageDataset(lake.uri, definition.view, columns, origins)


def names_in(expression: str) -> list[str]:
    """The columns that an expression of a definition's identity reads, in their order."""
    return [(a or b).replace('""', '"') for a, b in READ.findall(TEXTS.sub("''", expression))]


def _of_base(lake: Lake, base: Definition, output: Output) -> Iterator[ColumnOrigin]:
    known = {fold(one.name): one.name for one in base.columns}
    for name in names_in(output.said):
        if fold(name) in known:
            yield ColumnOrigin(lake.uri, base.view, known[fold(name)], _how(output, output.said))


def _of_contract(
    definition: Definition, contract: Contract, of: LineageDataset, output: Output
) -> Iterator[ColumnOrigin]:
    """Of a union, by way of what the contract gives for the union's columns."""
    known = {fold(field.name): field.name for field in contract.fields}
    given = _given(definition.reads.get(contract.name, ""))
    for name in names_in(output.said):
        said = (output.said, given.get(fold(name), "")) if given else (output.said,)
        for field in names_in(said[-1]) if given else [name]:
            if fold(field) in known:
                yield ColumnOrigin(of.namespace, of.name, known[fold(field)], _how(output, *said))


def _given(reads: str) -> Mapping[str, str]:
    """By column of a union what a contract gives for it."""
    return {fold(name.replace('""', '"')): expression for expression, name in GIVEN.findall(TEXTS.sub("''", reads))}


def _how(output: Output, *expressions: str) -> Transformation:
    if output.aggregate:
        return "AGGREGATION"
    return "IDENTITY" if all(READ.fullmatch(one) for one in expressions) else "TRANSFORMATION"


def _columns(contracts: Iterable[Contract]) -> tuple[tuple[str, str, str], ...]:
    found = {field.name: (field.name, field.sql_type, "") for contract in contracts for field in contract.fields}
    return tuple(found.values())
