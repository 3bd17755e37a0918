"""Which events may stand more than once: by 64-bit hashes of their ids and times, without comparing any.

Equal events have equal hashes, so every copy is among the rows of the hashes that stand more than once; whether one is
a copy is decided by comparing those alone. In a million rows some 3e-8 others have a hash of another event's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seamline.kernel import Given, Kernel

MOST_HELD = 4_000_000
"""Hashes that are sorted in memory, 16 bytes each; of more, the kernel groups them, which takes a third longer."""


@dataclass(frozen=True)
class Doubled:
    """Hashes that stand more than once."""

    hashes: pa.Table = field(repr=False)
    """Each once, as `_hash`."""

    rows: int
    """How many rows have them."""


def doubled(engine: Kernel, hashes: str, inputs: Mapping[str, Given], rows: int) -> Doubled:
    """Of what a SELECT gives as `_hash`, from at most so many rows. Time follows the rows, and their logarithm."""
    if rows > MOST_HELD:
        found = engine.run(
            f"SELECT _hash, count(*) AS n FROM (\n{hashes}\n) GROUP BY _hash HAVING count(*) > 1", inputs
        )
        return Doubled(found.select(["_hash"]), pc.sum(found["n"]).as_py() or 0)
    values = np.sort(engine.run(hashes, inputs)["_hash"].to_numpy())
    again = values[1:] == values[:-1]
    once = np.unique(values[1:][again])
    return Doubled(pa.table({"_hash": once}), int(np.count_nonzero(again)) + len(once))
