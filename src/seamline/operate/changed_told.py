"""What readers were told of a view while an epoch was the newest: the chain that was served then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamline.entries.views import EarlierState
from seamline.errors import Condition, SeamlineError
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue
from seamline.segment import Chain
from seamline.serving.chains import ChainBase, chain_from, origin_of, out_of_retention, version_base


@dataclass(frozen=True)
class Told:
    """What readers were told while an epoch was the newest."""

    epoch: int
    definition: str
    version: int | None
    """None: by epochs alone."""

    chain: Chain


def told_at(lake: Lake, catalogue: Catalogue, states: ViewHistory, speed: SpeedHistory, view: str, epoch: int) -> Told:
    """The chain that answered while an epoch was the newest: from the version that was served last before the next."""
    end = speed.end_of(epoch)
    state = None if end is None else _state_at(states, speed, epoch)
    if end is None or state is None or state.served is None:
        raise out_of_retention(view, epoch, speed)
    definition, batch = catalogue.definition(state.served), BatchHistory(lake.batch_log(state.served))
    if state.version is not None and state.version not in batch.versions:
        raise out_of_retention(view, epoch, speed)
    try:
        base = (
            ChainBase(None, origin_of(speed))
            if state.version is None
            else version_base(definition, batch, state.version, speed)
        )
        chain = chain_from(view, state.served, base, speed, end)
        batch.files(state.version) if state.version is not None else None
    except SeamlineError as error:
        gone = (Condition.SEAM_HOLE, Condition.VIEW_NOT_READY, Condition.OUT_OF_RETENTION)
        if error.condition not in gone:
            raise
        raise out_of_retention(view, epoch, speed) from error
    return Told(epoch, state.served, state.version, chain)


def _state_at(states: ViewHistory, speed: SpeedHistory, epoch: int) -> EarlierState | None:
    """The view's last state before the next epoch came; the newest where none has. By the times that entries say."""
    listed = list(states.states.values())
    if epoch == speed.last_epoch:
        return listed[-1] if listed else None
    if epoch + 1 in speed.epochs:
        until = speed.epochs[epoch + 1].at
        return next((state for state in reversed(listed) if state.at < until), None)
    at = speed.epochs[epoch].at if epoch in speed.epochs else _newest_of(speed, epoch)
    return next((state for state in reversed(listed) if at is None or state.at <= at), None)


def _newest_of(speed: SpeedHistory, epoch: int) -> Any:
    return next((entry.newest for (_, last), entry in speed.compacted.items() if last == epoch), None)


def files_of(lake: Lake, told: Told) -> frozenset[str]:
    """The files and packed tables that it was answered from."""
    paths = [path for segment in told.chain.segments for path in segment.files]
    if told.version is not None:
        history = BatchHistory(lake.batch_log(told.definition))
        paths += [file.path for files in history.files(told.version).values() for file in files if file.rows]
    return frozenset(paths)
