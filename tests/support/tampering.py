"""Partials that are not what their process made of the records."""

from __future__ import annotations

import json
from collections.abc import Callable

import obstore
import pyarrow as pa

from seamline.entries.speed import Epoch
from seamline.lake import Lake
from seamline.packs import address, carry, pack


def changed(lake: Lake, epoch: Epoch, change: Callable[[pa.Table], pa.Table]) -> None:
    """Changes the partial rows of every definition in an epoch that carries its pack. Only who has not read it before
    sees it."""
    names = [name for name, file in epoch.files.items() if file is not None]
    ids = ["ids"] if epoch.ids is not None else []
    read = dict(zip([*names, *ids], lake.packs.tables(address(epoch.pack, n) for n in [*names, *ids]), strict=True))
    body = pack({name: change(table) if name in names else table for name, table in read.items()})
    entry = json.loads(bytes(obstore.get(lake.store, epoch.pack).bytes()))
    obstore.put(lake.store, epoch.pack, json.dumps(entry | {"data": carry(body)}).encode())
    vars(lake).pop("packs")  # what it has read is not what stands
