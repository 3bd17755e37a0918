"""Contracts: what one kind of event must look like, read from Open Data Contract Standard YAML.

One file holds one contract: one object in `schema`, whose name is the contract's. docs/contracts.md lists all of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from open_data_contract_standard.model import OpenDataContractStandard, Team

from seamline.errors import Condition, UserError
from seamline.frontier import Frontier
from seamline.schemas.contracts import custom_properties
from seamline.schemas.contracts.classified import hidden_paths
from seamline.schemas.contracts.custom_properties import CustomProperties, Discriminator
from seamline.schemas.contracts.fields import read_fields
from seamline.schemas.contracts.odcs import read_model
from seamline.schemas.contracts.types import NAME, Field, parse_duration
from seamline.schemas.contracts.yamlmarks import Marks

DECODER = 2
"""Counted up whenever the same contract would decode the same bytes otherwise: every record is then decoded again."""

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Before:
    """What judges records below a position, where a contract has taken another's place from there on."""

    contract: Contract
    """It gives them the same columns, as far as they are read."""

    handover: str
    """Its id."""

    until: Frontier | None
    """The position; None: no record of a topic is judged otherwise yet."""

    imports: tuple[str, ...] = ()
    """The whole imports that it judges."""

    together: tuple[str, ...] = ()
    """The definitions that take the handover in one epoch."""


@dataclass(frozen=True)
class Contract:
    """One kind of event."""

    name: str
    version: str
    topic: str
    fields: tuple[Field, ...]
    event_time: str
    event_id: str | None = None
    key: str | None = None
    discriminator: Discriminator | None = None
    stream: str = "main"

    horizon: timedelta = custom_properties.HORIZON
    """How far apart in Kafka's time two copies of an event may be."""

    earliest: datetime = custom_properties.EARLIEST
    """No event time is before it."""

    ahead: timedelta = custom_properties.AHEAD
    """How far an event time may be after the record's."""

    raw_retention: timedelta | None = None
    """How long raw keeps an event date, in whole days; None: for good. An event whose date lies further before its
    record's is rejected."""

    owner: str = ""

    hidden: frozenset[tuple[str, ...]] = field(default=frozenset(), compare=False)
    """Fields that are masked wherever a record is shown, as `hidden_paths` gives them. They decide nothing."""

    earlier: tuple[str, ...] = ()
    """Decodings whose place it has taken in a definition: rows and ids of theirs are as good as its own."""

    before: Before | None = None
    """What it judges only from a position on, in a definition."""

    text: str = field(default="", repr=False)
    """The YAML."""

    where: str = field(default="", compare=False)

    @cached_property
    def decoding(self) -> str:
        """A hash of everything that decides how bytes become columns and a reject reason; of no prose."""
        parts = {
            "decoder": DECODER,
            "name": self.name,
            "fields": [asdict(f) for f in self.fields],
            "event": (self.event_time, self.event_id),
            "bounds": (self.earliest.isoformat(), self.ahead.total_seconds()),
            "discriminator": asdict(self.discriminator) if self.discriminator else None,
        }
        if self.raw_retention is not None:  # said only then: decodings without it are called what they were
            parts["raw retention"] = self.raw_retention.days
        return _hash(parts)

    @cached_property
    def layout(self) -> str:
        """A hash of what decides where a record is filed: event time, event id, discriminator.

        Another one asks for a new raw table.
        """
        return _hash((self.event_time, self.event_id, asdict(self.discriminator) if self.discriminator else None))

    @cached_property
    def identity(self) -> str:
        """A hash of what an event's identity is made of: the contract's name, where its id and its time are read, and
        as what. Decodings that share it give the same record the same identity. Empty where there is no event id."""
        if self.event_id is None:
            return ""
        parts = [self.field(name) for name in (self.event_id, self.event_time)]
        return _hash((self.name, [asdict(replace(one, required=True, rules=())) for one in parts]))

    def field(self, name: str) -> Field:
        """A top-level field. Raises KeyError."""
        return {f.name: f for f in self.fields}[name]


def parse_contract(text: str, where: str) -> Contract:
    """A contract from YAML text; `where` names the file in messages.

    Raises UserError CONTRACT_INVALID: file, line, column, what is allowed and the hint.
    """
    marks = Marks(text, where)
    model = read_model(marks)
    if len(model.schema_ or []) != 1:
        message = f"{len(model.schema_ or [])} objects in 'schema'"
        raise marks.error(("schema", 1), message, "one object: one contract a file", "split the file")
    data = marks.data["schema"][0]
    name = data.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        message, detail = f"the contract's name (schema[0].name) is {name!r}", "letters, digits and _, a letter first"
        raise marks.error(("schema", 0, "name"), message, detail, "name it as it shall be called in SQL")
    if data.get("logicalType") not in (None, "object"):
        message = f"logicalType of the event is {data['logicalType']!r}"
        raise marks.error(("schema", 0, "logicalType"), message, "object", "write object")
    if data.get("quality"):
        detail, hint = "quality rules of a single field", "move the rule to a field, or remove it"
        raise marks.error(("schema", 0, "quality"), "a quality rule over the whole object", detail, hint)
    fields = read_fields(data.get("properties"), marks, ("schema", 0, "properties"))
    return _contract(marks, model, name, fields, text)


def _contract(
    marks: Marks, model: OpenDataContractStandard, name: str, fields: tuple[Field, ...], text: str
) -> Contract:
    given = CustomProperties(marks)
    event_time = given.field("eventTime", fields, ("timestamp",))
    if event_time is None:
        times = ", ".join(f.name for f in fields if f.type == "timestamp") or "there is none"
        detail = f"a custom property seamline.eventTime naming a timestamp field: {times}"
        raise marks.error((), "the contract has no event time", detail, "add it to customProperties")
    physical = marks.data["schema"][0].get("physicalName")
    topic = physical if isinstance(physical, str) and custom_properties.TOPIC.fullmatch(physical) else name
    scalars = ("string", "integer", "number", "decimal", "boolean", "date", "timestamp")
    no_retention: timedelta | None = None
    duration = "a duration such as '1 hour', '90 minutes' or '7 days'"
    return Contract(
        name=name,
        version=str(model.version),
        topic=given.read(
            "topic", topic, custom_properties.text(custom_properties.TOPIC), "letters, digits, '.', '_', '-'"
        ),
        fields=tuple(_required(f, event_time) for f in fields),
        event_time=event_time,
        event_id=given.field("eventId", fields, ("string", "integer")),
        key=given.field("key", fields, scalars),
        discriminator=given.discriminator(),
        stream=given.read(
            "stream", "main", custom_properties.text(custom_properties.STREAM), "small letters, digits, '_', '-'"
        ),
        horizon=given.read(
            "dedupHorizon", custom_properties.HORIZON, custom_properties.horizon, f"{duration}, above zero"
        ),
        earliest=given.read("earliest", custom_properties.EARLIEST, custom_properties.instant, "a date or timestamp"),
        ahead=given.read("ahead", custom_properties.AHEAD, parse_duration, duration),
        raw_retention=given.read(
            "rawRetention",
            no_retention,
            custom_properties.raw_retention,
            "whole days, two at least, such as '400 days'",
        ),
        owner=given.read("owner", _owner(model), custom_properties.text(re.compile(r".{1,200}")), "a name"),
        hidden=hidden_paths(marks.data["schema"][0].get("properties")),
        text=text,
        where=marks.where,
    )


def read_contract(path: Path) -> Contract:
    """The contract in a file. Raises UserError CONTRACT_INVALID."""
    return parse_contract(_read(path), str(path))


def load_contracts(folder: Path) -> dict[str, Contract]:
    """All contracts of a folder (*.yaml, *.yml), by name. Raises UserError CONTRACT_INVALID."""
    if not folder.is_dir():
        raise UserError(
            Condition.CONTRACT_INVALID,
            f"there is no folder {str(folder)!r}",
            detail="a folder of contracts, one YAML file each",
            hint="run `seamline init`, or set contracts in seamline.toml",
        )
    contracts: dict[str, Contract] = {}
    names: dict[str, str] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file()):
        contract = read_contract(path)
        if contract.name.lower() in names:
            message = f"contract {contract.name!r} is already in {names[contract.name.lower()]}"
            raise _error(contract, message, "each name once (case does not count)", "rename one of the two")
        names[contract.name.lower()] = str(path)
        contracts[contract.name] = contract
    check_topics(contracts)
    return contracts


def check_topics(contracts: Mapping[str, Contract] | Iterable[Contract]) -> None:
    """Contracts that share a topic are told apart by one path with different values, and are in one stream.

    Raises UserError CONTRACT_INVALID.
    """
    listed = contracts.values() if isinstance(contracts, Mapping) else contracts
    for group in by_topic(listed).values():
        if len(group) > 1:
            _check_topic(group)


def by_topic(contracts: Iterable[Contract]) -> dict[str, list[Contract]]:
    """The contracts of each topic, topics and contracts sorted by name."""
    topics: dict[str, list[Contract]] = {}
    for contract in sorted(contracts, key=lambda c: (c.topic, c.name)):
        topics.setdefault(contract.topic, []).append(contract)
    return topics


def event_schema(contract: Contract) -> dict[str, str]:
    """The event's columns and DuckDB types, in order: what a view's SELECT may use."""
    return {f.name: f.sql_type for f in contract.fields}


def _check_topic(group: list[Contract]) -> None:
    first, claimed = group[0], dict[str, str]()
    for contract in group:
        others = ", ".join(c.name for c in group if c is not contract)
        shared = f"topic {contract.topic!r} is shared with {others}"
        hint = "set seamline.discriminator: {path: ..., value: ...} in each of them, or use topics of their own"
        if contract.discriminator is None or first.discriminator is None:
            lacking = contract if contract.discriminator is None else first
            raise _error(lacking, f"{shared}, and {lacking.name} has no discriminator", "a discriminator each", hint)
        if contract.discriminator.path != first.discriminator.path:
            message = f"{shared}, and they look at different paths"
            raise _error(contract, message, ".".join(first.discriminator.path), hint)
        value = contract.discriminator.value
        if value in claimed:
            raise _error(contract, f"value {value!r} is claimed by {claimed[value]} too", "a value each", hint)
        if contract.stream != first.stream:
            message = f"{shared}, and they are in streams {first.stream!r} and {contract.stream!r}"
            raise _error(contract, message, "one stream for a topic", "set the same seamline.stream")
        claimed[value] = contract.name


def _required(field_: Field, event_time: str) -> Field:
    """An event without its time cannot be filed: the event time is required, whatever the file says."""
    if field_.name != event_time or field_.required:
        return field_
    return replace(field_, required=True)


def _owner(model: OpenDataContractStandard) -> str:
    """The team, or its member whose role is owner."""
    members = model.team.members if isinstance(model.team, Team) else model.team
    if isinstance(model.team, Team) and model.team.name:
        return model.team.name
    for member in members or []:
        if (member.role or "").lower() == "owner":
            return member.name or member.username or ""
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            Condition.CONTRACT_INVALID, f"cannot be read: {error}", detail="UTF-8 text", where=f"{path}:1:1"
        ) from error


def _error(contract: Contract, message: str, detail: str, hint: str) -> UserError:
    where = f"{contract.where}:1:1" if contract.where else contract.name
    return UserError(Condition.CONTRACT_INVALID, message, detail=detail, hint=hint, where=where)


def _hash(parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
