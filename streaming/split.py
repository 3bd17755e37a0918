"""Records of one topic told apart by their kinds: each is looked at once, however many contracts share the topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seamline.kernel import Kernel
from seamline.portions import in_portions, portion_bytes
from seamline.schemas.contracts.claimed import Claimed
from seamline.schemas.contracts.decode import kinds_statement

Rows = NDArray[np.int64]


class Split:
    """Records (like RECORDS) of one source, and which of them are whose. They are looked at when that is first asked,
    once for each path that tells contracts apart: one, but while a topic is told apart in another way than before."""

    def __init__(self, engine: Kernel, records: pa.Table) -> None:
        self._engine = engine
        self._records = records
        self._kinds: dict[tuple[str, ...], Mapping[str | None, list[Rows]]] = {}

    def of(self, claimed: Claimed) -> pa.Table:
        """The records that are claimed, in order. The statements of who claims them give the same rows over these as
        over all."""
        if not claimed.path:
            return self._records.slice(0, 0) if claimed.rest else self._records
        return self._taken(self._rows(claimed))

    def count(self, claimed: Claimed) -> int:
        """How many records are claimed."""
        if not claimed.path:
            return 0 if claimed.rest else self._records.num_rows
        return sum(map(len, self._rows(claimed)))

    def _rows(self, claimed: Claimed) -> list[Rows]:
        kinds = self._kinds_at(claimed.path)
        wanted: Iterable[str | None] = kinds.keys() - claimed.values if claimed.rest else claimed.values
        return [rows for one in wanted for rows in kinds.get(one, ())]

    def _taken(self, rows: list[Rows]) -> pa.Table:
        if not rows:
            return self._records.slice(0, 0)
        numbers = np.sort(np.concatenate(rows))
        return self._records if len(numbers) == self._records.num_rows else self._records.take(pa.array(numbers))

    def _kinds_at(self, path: tuple[str, ...]) -> Mapping[str | None, list[Rows]]:
        if path not in self._kinds:
            self._records = self._records.combine_chunks()  # or each take would do it
            self._kinds[path] = kinds_of(self._engine, self._records, path)
        return self._kinds[path]


def kinds_of(engine: Kernel, records: pa.Table, path: tuple[str, ...]) -> dict[str | None, list[Rows]]:
    """The rows of each kind, looked at in portions that the kernel can hold."""
    at = records.schema.get_field_index("offset")
    numbered = records.set_column(at, "offset", pa.array(np.arange(records.num_rows, dtype=np.int64)))
    statement = kinds_statement(path)
    found: dict[str | None, list[Rows]] = {}
    for made in in_portions(lambda one: engine.run(statement, {"records": one}), numbered, portion_bytes(engine)):
        for batch in made.to_batches():
            listed = batch["_records"]
            rows, bounds = listed.flatten().to_numpy(), np.cumsum([0, *listed.value_lengths().to_pylist()])
            for number, kind in enumerate(batch["_kind"].to_pylist()):
                found.setdefault(kind, []).append(rows[bounds[number] : bounds[number + 1]])
    return found
