"""Rows of an index as the JSON body that SQL gives for them: the same bytes, but for the lag."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256

from seamline.serving.lookups.indexed import Found, ViewIndex
from seamline.serving.lookups.rowsasked import MOST, RowsAsked, chosen, ranged
from seamline.serving.asking import too_many_rows
from seamline.serving.snapshot import ServedView


class IndexedAnswers:
    """Answers from one index. What all of them say is written once."""

    def __init__(self, index: ViewIndex) -> None:
        self._index = index
        self._heads = lru_cache(maxsize=64)(self._head)

    def body(self, asked: RowsAsked, now: datetime) -> tuple[bytes, int]:
        """The body, and how many rows it has. Raises INPUT_INVALID, and QUERY_REFUSED where there are more than MOST
        rows and no limit."""
        definition = self._index.served.definition
        columns = chosen(definition, asked)
        found = self._index.find(ranged(definition, asked), MOST + 1 if asked.limit is None else asked.limit)
        if asked.limit is None and len(found) > MOST:
            raise too_many_rows(MOST)
        before, between, after = self._provenance
        newest, committed = self._index.served.newest, self._index.served.committed
        text = (
            self._heads(columns), _rows(columns, found), before, _seconds(newest, now), between,
            _seconds(committed, now), after,
        )  # fmt: skip
        return "".join(text).encode(), len(found)

    def tag(self, asked: RowsAsked) -> str:
        """The same exactly as long as the body is, but for its lag."""
        return rows_tag(self._mark, asked)

    @cached_property
    def _mark(self) -> str:
        return mark_of(self._index.served)

    def _head(self, columns: tuple[str, ...]) -> str:
        schema = self._index.layers[0].table.schema
        said = [{"name": name, "type": str(schema.field(name).type)} for name in columns]
        return f'{{"columns": {json.dumps(said, ensure_ascii=False)}, "rows": ['

    @cached_property
    def _provenance(self) -> tuple[str, str, str]:
        """What stands around the two lags."""
        served = self._index.served
        sign, other = secrets.token_hex(), secrets.token_hex()
        said = served.provenance(served.committed or datetime.max).to_json()
        said["lag"] |= {"seconds": sign, "epoch_seconds": other}
        text = json.dumps({served.definition.view: said}, ensure_ascii=False, allow_nan=False)
        before, _, rest = f'], "provenance": {text}, "warnings": []}}'.partition(f'"{sign}"')
        between, _, after = rest.partition(f'"{other}"')
        return before, between, after


def mark_of(served: ServedView) -> str:
    """What a view's answers depend on, in short."""
    return sha256(served.mark.encode()).hexdigest()


def rows_tag(mark: str, asked: RowsAsked) -> str:
    """A strong validator of a lookup's answer."""
    return f'"{sha256(f"{mark}{asked!r}".encode()).hexdigest()[:32]}"'


def _rows(columns: Sequence[str], found: list[Found]) -> str:
    if not found:
        return ""
    readers = {id(layer): [layer.reader(name) for name in columns] for layer, _ in found}
    return ", ".join(f"[{', '.join([read(row) for read in readers[id(layer)]])}]" for layer, row in found)


def _seconds(since: datetime | None, now: datetime) -> str:
    return "null" if since is None else json.dumps((now - since).total_seconds())
