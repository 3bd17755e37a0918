"""Rows of an index as the JSON body that SQL gives for them: the same bytes, but for the lag."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256

import pyarrow as pa

from seamline.serving.asking import too_many_rows
from seamline.serving.encode import FORMATS, AnswerNotes
from seamline.serving.lookups.indexed import FoundRow, ViewIndex
from seamline.serving.lookups.rowsasked import MOST, RowsAsked, chosen, ranged
from seamline.serving.snapshot import ServedView


class IndexedAnswers:
    """Answers from one index. What all of them say is written once."""

    def __init__(self, index: ViewIndex) -> None:
        self.index = index
        self._heads = lru_cache(maxsize=64)(self._head)

    @property
    def epoch(self) -> int:
        """The last epoch that is covered."""
        return self.index.served.epoch

    def find(self, asked: RowsAsked, most: int) -> list[FoundRow]:
        """The rows, `most` and one more at most. Raises INPUT_INVALID, and QUERY_REFUSED where there are more than MOST
        and no limit."""
        wanted = ranged(self.index.served.definition, asked)
        found = self.index.find(wanted, min(most + 1, MOST + 1 if asked.limit is None else asked.limit))
        if len(found) > MOST:
            raise too_many_rows(MOST)
        return found

    def body(self, asked: RowsAsked, found: list[FoundRow], now: datetime, form: str = "json") -> tuple[str, bytes]:
        """The media type and the body of an answer of these rows. Raises INPUT_INVALID."""
        served, write = self.index.served, FORMATS[form]
        columns = chosen(served.definition, asked)
        if form != "json":
            table = self._table(columns, found)
            said = AnswerNotes({served.definition.view: served.provenance(now).to_json()})
            return write.media, b"".join(write.write(table.schema, table.to_batches(), said))
        before, between, after = self._provenance
        text = (
            self._heads(columns), _rows(columns, found), before, _seconds(served.newest, now), between,
            _seconds(served.committed, now), after,
        )  # fmt: skip
        return write.media, "".join(text).encode()

    def tag(self, asked: RowsAsked, form: str = "json") -> str:
        """The same exactly as long as the body is, but for its lag."""
        return rows_tag(self._mark, asked, form)

    def _table(self, columns: tuple[str, ...], found: list[FoundRow]) -> pa.Table:
        parts, places = list[pa.Table](), dict[FoundRow, int]()
        for layer in {id(layer): layer for layer, _ in found}.values():
            rows = [row for one, row in found if one is layer]
            places |= {(layer, row): len(places) + n for n, row in enumerate(rows)}
            parts.append(layer.table.select(columns).take(rows))
        if not parts:
            return self.index.layers[0].table.select(columns).slice(0, 0)
        return pa.concat_tables(parts).take([places[one] for one in found])

    @cached_property
    def _mark(self) -> str:
        return mark_of(self.index.served)

    def _head(self, columns: tuple[str, ...]) -> str:
        schema = self.index.layers[0].table.schema
        said = [{"name": name, "type": str(schema.field(name).type)} for name in columns]
        return f'{{"columns": {json.dumps(said, ensure_ascii=False)}, "rows": ['

    @cached_property
    def _provenance(self) -> tuple[str, str, str]:
        """What stands around the two lags."""
        served = self.index.served
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


def rows_tag(mark: str, asked: RowsAsked, form: str) -> str:
    """A strong validator of a lookup's answer."""
    return f'"{sha256(f"{mark}{form}{asked!r}".encode()).hexdigest()[:32]}"'


def _rows(columns: Sequence[str], found: list[FoundRow]) -> str:
    if not found:
        return ""
    readers = {id(layer): [layer.reader(name) for name in columns] for layer, _ in found}
    return ", ".join(f"[{', '.join([read(row) for read in readers[id(layer)]])}]" for layer, row in found)


def _seconds(since: datetime | None, now: datetime) -> str:
    return "null" if since is None else json.dumps((now - since).total_seconds())
