"""Rules of ODCS: `logicalTypeOptions`, `enum` and library `quality` checks, read into the few kinds Seamline enforces.

A rule that cannot be decided on one record alone is refused, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from seamline.errors import SeamlineError
from seamline.kernel import kernel, literal
from seamline.schemas.contracts.types import TYPES, Field, Rule, bound
from seamline.schemas.contracts.yamlmarks import Marks, NodePath

OPTIONS = {
    "minimum": "min",
    "maximum": "max",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "minLength": "min length",
    "maxLength": "max length",
    "pattern": "pattern",
}
"""What stands in `logicalTypeOptions`, and the rule it makes."""

PREDICATES = {
    "min": "{x} >= {v}",
    "max": "{x} <= {v}",
    "above": "{x} > {v}",
    "below": "{x} < {v}",
    "min length": "length({x}) >= {v}",
    "max length": "length({x}) <= {v}",
    "pattern": "regexp_matches({x}, {v})",
    "enum": "{x} IN ({v})",
}
"""The SQL that holds for a value that keeps the rule. NULL keeps every rule."""

QUALITY = (
    "metric invalidValues with arguments validValues or pattern and mustBe: 0;"
    " metric nullValues with mustBe: 0; type text"
)
_DESCRIBES = {"id", "name", "type", "description", "dimension", "severity", "tags", "businessImpact", "unit"}


def predicate(rule: Rule, value: str) -> str:
    """The SQL condition that `value` (an SQL expression) keeps the rule."""
    return PREDICATES[rule.kind].format(x=value, v=", ".join(rule.values))


def with_rules(field: Field, data: dict[str, Any], marks: Marks, path: NodePath) -> Field:
    """The field with all rules that its ODCS property states. Raises UserError CONTRACT_INVALID."""
    found: dict[str, tuple[str, ...]] = {}
    required = field.required
    for kind, value, at in _stated(data, marks, path):
        if kind == "required":
            required = True
            continue
        if kind in found:
            raise marks.error(at, f"rule {kind} stands twice for {field.name!r}", "each rule once", "remove one")
        if kind not in TYPES[field.type].rules:
            detail = ", ".join(sorted(TYPES[field.type].rules)) or "no rules"
            message = f"rule {kind} on {field.name!r}, which is of type {field.type}"
            raise marks.error(at, message, f"for {field.type}: {detail}", "remove the rule, or change the type")
        found[kind] = _values(field, kind, value, marks, at)
    rules = tuple(Rule(kind, found[kind]) for kind in PREDICATES if kind in found)
    return replace(field, rules=rules, required=required)


def _stated(data: dict[str, Any], marks: Marks, path: NodePath) -> Iterator[tuple[str, object, NodePath]]:
    """(kind, value, where) of every rule in an ODCS property."""
    for key, value in (data.get("logicalTypeOptions") or {}).items():
        at: NodePath = (*path, "logicalTypeOptions", key)
        if key in ("timezone", "defaultTimezone"):
            _check_zone(key, value, marks, at)
            continue
        if key not in OPTIONS:
            raise marks.unknown(at[:-1], key, OPTIONS)
        yield OPTIONS[key], value, at
    if data.get("enum") is not None:
        yield "enum", [entry.get("value") for entry in data["enum"]], (*path, "enum")
    for index, check in enumerate(data.get("quality") or []):
        yield from _quality(check, marks, (*path, "quality", index))


def _quality(check: dict[str, Any], marks: Marks, at: NodePath) -> Iterator[tuple[str, object, NodePath]]:
    kind = check.get("type", "library")
    if kind == "text":
        return
    metric, arguments = check.get("metric"), check.get("arguments") or {}
    stated = set(check) - _DESCRIBES
    if kind == "library" and check.get("mustBe") == 0 and not isinstance(check.get("mustBe"), bool):
        if metric == "nullValues" and stated == {"metric", "mustBe"}:
            yield "required", True, at
            return
        known = arguments.keys() <= {"validValues", "pattern"}
        if metric == "invalidValues" and arguments and known and stated == {"metric", "mustBe", "arguments"}:
            for name, value in arguments.items():
                yield ("enum" if name == "validValues" else "pattern"), value, (*at, "arguments", name)
            return
    message = f"a quality rule that cannot be decided on one record (type {kind}, metric {metric})"
    raise marks.error(at, message, QUALITY, "use one of these, or logicalTypeOptions for bounds; or remove it")


def _values(field: Field, kind: str, value: object, marks: Marks, at: NodePath) -> tuple[str, ...]:
    try:
        if kind == "pattern":
            return (_pattern(value),)
        if kind in ("min length", "max length"):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
                raise ValueError("a whole number, 0 or more")
            return (str(value),)
        if kind != "enum":
            return (bound(field, value),)
        if not isinstance(value, list) or not value:
            raise ValueError("a list with at least one value")
        return tuple(bound(field, entry) for entry in value)
    except ValueError as error:
        message = f"rule {kind} of {field.name!r} is {value!r}"
        raise marks.error(at, message, str(error), "correct the value") from error


def _pattern(value: object) -> str:
    """Checks it with the engine that will run it (RE2). Raises ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a regular expression in RE2 syntax")
    try:
        kernel().run(f"SELECT regexp_matches('', {literal(value)})")
    except SeamlineError as error:
        reason = re.sub(r"^.*?Error: ", "", error.message).splitlines()[0]
        raise ValueError(f"a regular expression in RE2 syntax ({reason})") from error
    return literal(value)


def _check_zone(key: str, value: object, marks: Marks, at: NodePath) -> None:
    if key == "defaultTimezone" and value not in ("UTC", "Etc/UTC"):
        hint = "let producers write the offset, or write times in UTC"
        raise marks.error(at, f"defaultTimezone is {value!r}", "Etc/UTC", hint)
