"""Nothing an entry names, and no entry, can be lost once it stands: it is on the disk before its name is given.

A power loss is played by what the disk was told: a file's bytes count from its sync on, its name from its folder's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_parts import archived, epoch, with_entries
from stream_parts import NOW, contract, event, open_archive, open_speed, records, tasks

from seamline.entries.base import Claim, Counts, DataFile
from seamline.entries.batch import Audit
from seamline.frontier import Frontier
from seamline.jobs.decide import decide
from seamline.jobs.publish import put
from seamline.jobs.reserve import reserve
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Audited, Decided, Recomputed
from seamline.jobs.unit import TODAY, UnitResult
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.streaming.speed.compact import cover, plan_compaction
from seamline.streaming.speed.together import compact_run

CLICKS = contract()


class PowerLoss:
    """What would be left of a folder, file by file, if the power went at each moment that a name is given."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.synced: dict[int, bytes | None] = {}
        self.lost: list[str] = []
        self._fsync, self._link = os.fsync, os.link

    def fsync(self, handle: int) -> None:
        self._fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").resolve()
        names = frozenset(one.name for one in path.iterdir()) if path.is_dir() else None
        self.synced[os.fstat(handle).st_ino] = path.read_bytes() if names is None else ",".join(names).encode()

    def link(self, source: Path, name: Path) -> None:
        """An entry is about to stand."""
        self.lost += [str(path) for path in self.files() if not self.is_safe(path)]
        if self.synced.get(source.stat().st_ino) != source.read_bytes():
            self.lost.append(str(name))
        self._link(source, name)

    def files(self) -> Iterator[Path]:
        """Files that entries name, or are: all but what a put is making, leases and hints."""
        for path in self.root.rglob("*"):
            if path.is_file() and not path.name.startswith(".") and not {"leases", "hints"} & {*path.parts}:
                yield path

    def is_safe(self, path: Path) -> bool:
        if self.synced.get(path.stat().st_ino) != path.read_bytes():
            return False
        inside = [up for up in (path, *path.parents) if up.is_relative_to(self.root) and up != self.root]
        return all(up.name in (self.synced.get(up.parent.stat().st_ino) or b"").decode().split(",") for up in inside)


@pytest.fixture
def power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PowerLoss:
    watching = PowerLoss(tmp_path / "lake")
    monkeypatch.setattr(os, "fsync", watching.fsync)
    monkeypatch.setattr(os, "link", watching.link)
    return watching


def test_an_entry_is_on_the_disk_before_it_has_its_name(power: PowerLoss) -> None:
    log = Lake.open(str(power.root)).speed_log("main")
    for _ in range(3):
        Writer.take(log, Claim(at=NOW, holder="w"))
    assert power.lost == []
    assert len([path for path in power.files() if power.is_safe(path)]) == 3


def test_every_file_of_an_epoch_is_on_the_disk_before_its_entry(power: PowerLoss) -> None:
    lake = Lake.open(str(power.root))
    speed = open_speed(lake, [CLICKS])
    for number in range(3):
        speed.run_batch(tasks(records([event(number)], first=number)))
    compact_run(speed, plan_compaction(cover(speed.history), [], 3, NOW), {})
    assert power.lost == []
    assert all(power.is_safe(path) for path in power.files())


def test_every_file_of_the_archive_and_of_deltas_logs_is_on_the_disk_before_its_entry(power: PowerLoss) -> None:
    lake = Lake.open(str(power.root))
    archive = open_archive(lake, [CLICKS])
    for number in range(30):
        archive.run_batch(tasks(records([event(number), b"{"], first=2 * number)))
    assert archive.maintain() is not None
    assert power.lost == []
    assert archive.frontier != Frontier()


def test_every_file_of_a_version_is_on_the_disk_before_its_entry(power: PowerLoss) -> None:
    lake = with_entries(Lake.open(str(power.root)), [epoch(1)], [archived(0, 10)])
    resources = Resources(lake, clock=lambda: NOW)
    decision = decide(resources, "per_hour", rebuild=False)
    assert isinstance(decision, Decided)
    reservation = reserve(resources, decision)
    (power.root / "batch.parquet").write_bytes(b"partials")
    file = DataFile(path="batch.parquet", rows=1)
    results = [
        UnitResult(unit=f"2026-01-0{n}", file=one, counts=Counts(), **TODAY) for n, one in enumerate((file, None), 1)
    ]
    made = put(resources, Audited(Recomputed(reservation, (), tuple(results)), Audit(compared=False)))
    assert made.version.units["2026-01-01"] == (file,)
    assert power.lost == []
    assert all(power.is_safe(path) for path in power.files())
