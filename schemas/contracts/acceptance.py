"""Which records a contract accepts, as a value: two contracts with equal ones accept and reject the same, whatever else
they say. That is decided by the JSON keys and what is asked of each, never by the names, or the order, of fields."""

from __future__ import annotations

from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.types import Field


def acceptance(contract: Contract) -> tuple[object, ...]:
    """Equal for contracts that accept the same records as events of the same date."""
    return (
        contract.name,
        _all(contract.fields),
        contract.field(contract.event_time).key,
        contract.earliest,
        contract.ahead,
        contract.raw_retention,
        contract.discriminator,
    )


def asked(field: Field) -> tuple[object, ...]:
    """What is asked of the values at a field's key."""
    return (
        field.key,
        (field.type, field.required, field.precision, field.scale, field.epoch),
        frozenset((rule.kind, frozenset(rule.values)) for rule in field.rules),
        _all(field.fields),
        asked(field.item) if field.item else None,
    )


def column(field: Field) -> tuple[object, ...]:
    """What a field's column holds of an accepted record: its name and type, and where each part of it is read."""
    return (
        (field.name, field.key),
        (field.type, field.precision, field.scale, field.epoch),
        tuple(map(column, field.fields)),
        column(field.item) if field.item else None,
    )


def _all(fields: tuple[Field, ...]) -> frozenset[tuple[object, ...]]:
    return frozenset(map(asked, fields))
