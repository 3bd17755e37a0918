"""Whether two definitions answer alike, whatever records come: nothing that a row depends on differs between them.

A row depends on which records its contracts accept, on the columns that its statements name, on what makes an event the
same one, and on the statements. Two that answer alike are one definition: the newer goes on under the older's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from seamline.schemas.contracts.acceptance import acceptance, column
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.types import Field
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.project_views import Compiled


def alike(one: Compiled, other: Compiled) -> bool:
    """Whether both give every record the same part in the same rows. Where that is not sure, they do not."""
    return same_statements(one.definition, other.definition) and all(
        acceptance(mine) == acceptance(theirs) and same_reading(one.definition, mine, theirs)
        for mine, theirs in zip(one.contracts, other.contracts, strict=True)
    )


def same_statements(one: Definition, other: Definition) -> bool:
    """Whether they make the same of the same events."""
    return _statements(one) == _statements(other)


def same_reading(definition: Definition, one: Contract, other: Contract) -> bool:
    """Whether a definition reads the same of a record that both contracts accept, as the same event at the same
    place."""
    place = [(contract.name, contract.stream, contract.layout, contract.identity) for contract in (one, other)]
    return place[0] == place[1] and [column(field) for field in fields_read(definition, one)] == [
        column(field) for field in fields_read(definition, other)
    ]


def fields_read(definition: Definition, contract: Contract) -> list[Field]:
    """The fields that a definition reads of a contract, and maybe more, by name."""
    of = contract.name
    named = named_fields(contract, [definition.partials[of], definition.by_unit[of], definition.rows[of]])
    kept = {*named, contract.event_time, contract.event_id}
    return sorted((field for field in contract.fields if field.name in kept), key=lambda field: field.name)


def named_fields(contract: Contract, statements: Iterable[str]) -> tuple[str, ...]:
    """Fields whose names stand in a statement: each that it reads does, some others may."""
    words = {word.lower() for statement in statements for word in re.findall(r"\w+", statement)}
    return tuple(field.name for field in contract.fields if field.name.lower() in words)


def _statements(definition: Definition) -> tuple[object, ...]:
    base = definition.base
    return (
        (definition.normalised, definition.contracts, definition.keys, definition.partial_columns),
        (definition.partials, definition.by_unit, definition.rows, definition.merge, definition.having),
        [(one.name, one.sql_type, one.exactness, one.finalise, one.check) for one in definition.columns],
        (definition.compared, definition.checked),
        (base.fold, _statements(base.of)) if base else None,
    )
