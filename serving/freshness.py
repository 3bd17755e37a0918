"""How far a snapshot is: whether it covers what a writer has written, and how old its answers are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from seamline.errors import Condition, TransientError, UserError
from seamline.serving.snapshot import ServedView, Snapshot


def covers(snapshot: Snapshot, views: Iterable[str], epoch: int) -> bool:
    """Whether these views' answers reach the end of an epoch of their stream. Raises what a view raises, and
    QUERY_INVALID where their streams differ: one number says nothing about two of them."""
    served = [snapshot.view(view) for view in views]
    streams = sorted({one.stream for one in served})
    if len(streams) > 1:
        raise UserError(
            Condition.QUERY_INVALID, f"at least epoch {epoch} of several streams: {', '.join(streams)}",
            detail="views of one stream, where an epoch is waited for", hint="ask each stream's views on their own",
        )  # fmt: skip
    return all(one.epoch >= epoch for one in served)


def not_reached(snapshot: Snapshot, views: Iterable[str], epoch: int, seconds: float) -> TransientError:
    """The epoch was waited for in vain."""
    said = ", ".join(f"{view} reaches epoch {snapshot.view(view).epoch}" for view in views)
    return TransientError(
        Condition.EPOCH_NOT_REACHED, f"epoch {epoch} was not reached within {seconds:g} s: {said}",
        hint="ask again, with a longer timeout; 'seamline status' says whether the stream is read",
    )  # fmt: skip


def lag_seconds(snapshot: Snapshot, now: datetime) -> float | None:
    """How old the oldest view's answer is, while records keep coming; None where nothing was read."""
    found = [v.newest for v in snapshot.views.values() if isinstance(v, ServedView) and v.newest is not None]
    return max(((now - one).total_seconds() for one in found), default=None)
