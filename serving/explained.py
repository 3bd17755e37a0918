"""`EXPLAIN SELECT …`: how a query would be answered, in words: what each of its views is merged of, and what of that is
read. It names no file, and nothing of other views; no policy's words either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from seamline.serving.bounds import BatchFiles, Paths
from seamline.serving.named import Names
from seamline.serving.snapshot import ServedView
from seamline.sql import tokens

WORD = "EXPLAIN"
PLAN = pa.schema([("plan", pa.string())])
"""The answer's only column; a line each."""


def explained(sql: str) -> str | None:
    """The query that is to be explained, each character in its place; None where the text does not ask for that."""
    try:
        found = [token for token in tokens(sql) if token.kind != "comment"][:1]
    except UnicodeEncodeError:
        return None
    if not found or found[0].kind != "word" or found[0].text.upper() != WORD:
        return None
    start, end = found[0].start, found[0].end + 1
    return sql[:start] + " " * (end - start) + sql[end:]


def plan(
    served: Mapping[str, ServedView], paths: Mapping[str, Paths | None], names: Names, repeated: frozenset[str]
) -> pa.Table:
    """The lines for some views, of whose batch files these paths are read (None: all)."""
    lines = [line for name, view in served.items() for line in _of_view(name, view, paths.get(name), name in repeated)]
    if served:
        known = {column.name.lower() for view in served.values() for column in view.definition.columns}
        asked = "any column" if names is None else ", ".join(sorted(names & known)) or "no column"
        lines.append(f"columns that are made: {asked}, and keys")
    return pa.table({"plan": lines or ["no view is read"]}, schema=PLAN)


def _of_view(name: str, view: ServedView, paths: Paths | None, repeated: bool) -> Iterator[str]:
    if view.base.version is None:
        yield f"view {name}: no batch version yet, from the first record of stream {view.stream} on"
    else:
        yield f"view {name}: batch version {view.base.version}, up to {view.base.cut}: {_batch(view, paths)}"
    if view.runs:
        links, rows = view.chain.segments, sum(run.table.num_rows for run in view.runs)
        yield (
            f"view {name}: epochs {links[0].first} to {links[-1].last}, up to {view.chain.reached}: "
            f"{_number(len(links), 'run')} in memory, {_number(rows, 'partial row')}"
        )
    if view.where:
        yield f"view {name}: the rows that a policy shows, chosen before they are merged"
    if repeated:
        yield f"view {name}: named more than once, made once"


def _batch(view: ServedView, paths: Paths | None) -> str:
    files = view.batch
    if not isinstance(files, BatchFiles):
        return "no rows" if files is None else f"{_number(files.num_rows, 'partial row')} in memory"
    read = len(files.paths) if paths is None else len(paths)
    kind = "held in memory" if files.held else "on disk"
    left = len(files.paths) - read
    return f"{read} of {_number(len(files.paths), 'file')} {kind} are read" + (
        f", {left} can hold no row that is asked for" if left else ""
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
