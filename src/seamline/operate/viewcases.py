"""A project's `tests/*.yaml`: events of a view's contracts, and the rows that it is expected to have of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seamline.errors import Condition, UserError
from seamline.schemas.contracts.yamlmarks import JsonValues, Marks, NodePath
from seamline.schemas.views.project_views import Compiled

FOLDER = "tests"
LATER = datetime(2100, 1, 1, tzinfo=UTC)
"""When records were received unless a case says it: no event time lies beyond it."""

_GUIDE = "docs/views.md#tests-of-a-view"
_FILE, _CASE = ("view", "cases"), ("name", "events", "rows", "rejected", "duplicates", "received")


@dataclass(frozen=True)
class CaseRecord:
    """A record as a producer sends it."""

    contract: str
    value: bytes | None


@dataclass(frozen=True)
class ViewCase:
    """Events, and the rows that a view has of them."""

    view: str
    name: str
    sent: tuple[CaseRecord, ...]

    columns: tuple[str, ...]
    """Those that the rows name: the others are not looked at."""

    rows: tuple[Mapping[str, Any], ...] = field(hash=False)
    """By column, values as JSON has them."""

    rejected: int | None
    """Records that no event is made of; None: not looked at."""

    duplicates: int | None
    """Events that are copies; None: not looked at."""

    received: datetime
    """Every record's Kafka timestamp."""

    marks: Marks = field(repr=False, compare=False)
    path: NodePath = field(repr=False)

    @property
    def where(self) -> str:
        """The file, and the line and column in it."""
        return self.error("").where

    def error(self, message: str, *path: str | int, detail: str = "", hint: str = "") -> UserError:
        """What is wrong with it, at a place within it."""
        return self.marks.error((*self.path, *path), message, detail, hint)


def read_cases(folder: Path, views: Mapping[str, Compiled]) -> list[ViewCase]:
    """Every case of the `tests/` of the project in `folder`, by files in the order of their names. Raises UserError
    INPUT_INVALID with file, line and column where one cannot be read, VIEW_UNKNOWN where it is of none of the views."""
    files = sorted(path for path in (folder / FOLDER).glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    return [case for file in files for case in _of_file(file, str(file.relative_to(folder)), views)]


def _of_file(file: Path, where: str, views: Mapping[str, Compiled]) -> list[ViewCase]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            Condition.INPUT_INVALID, f"not UTF-8: {error}", hint="save the file as UTF-8", where=where
        ) from error
    marks = Marks(text, where, Condition.INPUT_INVALID, loader=JsonValues, guide=_GUIDE)
    _check_keys(marks, marks.data, (), _FILE, ("cases",))
    view = marks.data.get("view", file.stem)
    if not isinstance(view, str) or view not in views:
        known = ", ".join(sorted(views)) or "(the project has none)"
        found = marks.error(("view",), f"there is no view {view!r}", known, "name a view of views/ as 'view'")
        raise UserError(Condition.VIEW_UNKNOWN, found.message, detail=known, hint=found.hint, where=found.where)
    cases = _list(marks, marks.data["cases"], ("cases",), "cases")
    contracts = views[view].definition.contracts
    return [_case(marks, ("cases", n), one, view, contracts) for n, one in enumerate(cases)]


def _case(marks: Marks, path: NodePath, said: Any, view: str, contracts: tuple[str, ...]) -> ViewCase:
    if not isinstance(said, dict):
        raise marks.error(path, "a case that is no mapping", ", ".join(_CASE), f"see {_GUIDE}")
    _check_keys(marks, said, path, _CASE, ("events", "rows"))
    rows = _list(marks, said["rows"], (*path, "rows"), "rows")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not row:
            raise marks.error((*path, "rows", number), "a row that is no mapping", "{column: value, …}", "name columns")
        if row.keys() != rows[0].keys():
            other = ", ".join(sorted(row.keys() ^ rows[0].keys()))
            message = f"a row with other columns than the first: {other}"
            raise marks.error((*path, "rows", number), message, "the same columns in each", "name them in every row")
    return ViewCase(
        view=view,
        name=str(said.get("name", f"case {int(path[-1]) + 1}")),
        sent=tuple(_sent(marks, (*path, "events"), said["events"], contracts)),
        columns=tuple(rows[0]) if rows else (),
        rows=tuple(rows),
        rejected=_number(marks, path, said, "rejected"),
        duplicates=_number(marks, path, said, "duplicates"),
        received=_received(marks, path, said),
        marks=marks,
        path=path,
    )


def _sent(marks: Marks, path: NodePath, events: Any, contracts: tuple[str, ...]) -> Iterable[CaseRecord]:
    """Records of one contract as a list, or of several as a list by the name of each."""
    if not isinstance(events, dict):
        if len(contracts) > 1:
            allowed = "a list of events by contract: " + ", ".join(contracts)
            raise marks.error(
                path, "events of a view over several contracts", allowed, "name the contract of each list"
            )
        events = {"": events}
    for contract, listed in events.items():
        if contract and contract not in contracts:
            raise marks.unknown(path, contract, contracts)
        within = (*path, contract) if contract else path
        for number, value in enumerate(_list(marks, listed, within, "events")):
            if value is not None and not isinstance(value, dict | str):
                allowed = "a mapping of fields, a text (the bytes as they are), or null (no bytes)"
                raise marks.error((*within, number), f"an event that is {value!r}", allowed, "write its fields")
            yield CaseRecord(contract or contracts[0], _bytes(value))


def _bytes(value: dict[str, Any] | str | None) -> bytes | None:
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


def _check_keys(
    marks: Marks, said: Mapping[str, Any], path: NodePath, known: Iterable[str], must: Iterable[str]
) -> None:
    for key in said:
        if key not in known:
            raise marks.unknown(path, key, known)
    for key in must:
        if key not in said:
            raise marks.error(path, f"{key!r} is missing", ", ".join(known), f"add '{key}:'")


def _list(marks: Marks, said: Any, path: NodePath, what: str) -> list[Any]:
    if not isinstance(said, list):
        raise marks.error(path, f"{what} that are no list", "one a line, after '- '", f"see {_GUIDE}")
    return said


def _number(marks: Marks, path: NodePath, said: Mapping[str, Any], key: str) -> int | None:
    value = said.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise marks.error((*path, key), f"{key}: {value!r}", "how many records", "write a number")
    return value


def _received(marks: Marks, path: NodePath, said: Mapping[str, Any]) -> datetime:
    if "received" not in said:
        return LATER
    try:
        found = datetime.fromisoformat(str(said["received"]))
    except ValueError:
        allowed = "an instant, such as 2026-03-01T10:00:00Z"
        raise marks.error((*path, "received"), f"received: {said['received']!r}", allowed, "write it so") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
