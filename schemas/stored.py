"""Whether partials that stand in the lake can still be read: by which kernel, in which layout, they were stored.

Most columns are plain values, and any kernel reads them. What an engine makes as it likes (its exported states, its
hashes) is read by the same kernel alone; what was stored otherwise before a layout is not read from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamline.entries.base import Stored
from seamline.errors import Condition, TerminalError
from seamline.history.batch import BatchHistory
from seamline.kernel import KERNEL_VERSION
from seamline.schemas.algebra import LAYOUT
from seamline.schemas.views.definition import EVENTS, EVENTS_COMPARED, Column, Definition
from seamline.segment import Segment


def unread(definition: Definition, by: Stored) -> tuple[str, ...]:
    """The view's columns whose partials, stored so, would be read as something that they are not."""
    lost = [column.name for column in definition.partial_columns if _is_lost(column, by)]
    shown = [output.name for output in definition.columns if set(output.uses) & set(lost)]
    used = {name for output in definition.columns for name in output.uses}
    return tuple(
        dict.fromkeys(
            [*shown, *(EVENTS_COMPARED if name == EVENTS.name else name for name in lost if name not in used)]
        )
    )


def _is_lost(column: Column, by: Stored) -> bool:
    return column.since > by.layout or by.layout > LAYOUT or (column.engine and by.kernel != KERNEL_VERSION)


def check_stored(definition: Definition, what: str, by: Stored) -> None:
    """Raises KERNEL_VERSION, with the columns and what to do, where `what` was stored otherwise than it is read."""
    columns = unread(definition, by)
    if columns:
        raise TerminalError(
            Condition.KERNEL_VERSION,
            f"{what} of view {definition.view} was stored by kernel {by.kernel} in layout {by.layout}, which this"
            f" release does not read for {', '.join(columns)}",
            detail=f"kernel {KERNEL_VERSION}, layout {LAYOUT}",
            hint=f"run 'seamline batch rebuild {definition.view}': it makes those columns again from the archive",
        )


def check_segments(definition: Definition, segments: Iterable[Segment]) -> None:
    """Raises KERNEL_VERSION where the files of one were stored otherwise than they are read."""
    for one in segments:
        if one.files:
            said = f"epoch {one.first}" if one.first == one.last else f"epochs {one.first} to {one.last}"
            check_stored(definition, said, one.stored)


def check_version(definition: Definition, batch: BatchHistory, number: int) -> None:
    """Raises KERNEL_VERSION where files that stand in a version were stored otherwise than they are read."""
    for at, version in batch.lineage(number):
        check_stored(definition, f"batch version {at}", version)
