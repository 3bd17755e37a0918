"""One writer a log: a second one is refused by name, a dead one is replaced at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import obstore
import psutil
import pytest
from obstore.exceptions import GenericError
from stream_parts import NOW, memory_lake
from waiting import wait_until

from seamline.claims import LEASE, Lease, claim, claim_between, is_claimed, read_lease
from seamline.clock import Clock, ManualClock, system_clock
from seamline.entries.speed import Epoch
from seamline.errors import Condition, ConflictError, TransientError
from seamline.frontier import Frontier, Partition
from seamline.lake import Lake
from seamline.ledger import Log

HOLD = """
import sys
from seamline.claims import LEASE, Lease, claim, claim_between, is_claimed, read_lease
from seamline.lake import Lake
from seamline.ledger import Log
lake = Lake.open(sys.argv[1])
with claim(lake, lake.speed_log("main"), "speed"):
    print("held", flush=True)
    sys.stdin.read()
"""


def put_lease(lake: Lake, host: str, pid: int, until: str) -> None:
    lease = {"holder": "speed-old", "host": host, "pid": pid, "born": 1.0, "until": until}
    obstore.put(lake.store, "leases/speed/main.json", json.dumps(lease).encode())


def test_a_second_process_is_refused_with_the_holder_and_its_epoch_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    log = lake.speed_log("main")
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        end = Frontier({Partition("t@1", 0): 1})
        log.put(2, Epoch(at=NOW, number=7, claim=1, start=Frontier(), end=end, files={}))
        with pytest.raises(ConflictError) as refused, claim(lake, log, "speed"):
            pass
        assert refused.value.condition is Condition.WRITER_CONFLICT
        assert f"pid {child.pid}" in str(refused.value)
        assert "epoch 7" in str(refused.value)
    finally:
        child.kill()
        child.wait()
    with claim(lake, log, "speed") as writer:
        assert writer.claim == 3
        assert is_claimed(lake, log)
    assert not is_claimed(lake, log)


def test_a_live_lease_of_another_machine_holds_until_it_runs_out() -> None:
    lake, clock = memory_lake(), ManualClock(NOW)
    put_lease(lake, "elsewhere", 1, (NOW + LEASE).isoformat())
    log = lake.speed_log("main")
    with pytest.raises(ConflictError), claim(lake, log, "speed", clock):
        pass
    clock.advance(LEASE)
    with claim(lake, log, "speed", clock) as writer:
        assert writer.claim == 1


def test_a_lease_of_a_process_that_is_gone_or_of_its_process_id_used_again_does_not_hold() -> None:
    lake = memory_lake()
    put_lease(lake, socket.gethostname(), os.getpid(), (system_clock() + LEASE).isoformat())
    with claim(lake, lake.speed_log("main"), "speed"):
        held = read_lease(lake, lake.speed_log("main"))
        assert held is not None
        assert held.pid == os.getpid()
        assert held.holder != "speed-old"


def test_a_lease_is_renewed_while_the_block_lasts() -> None:
    lake = memory_lake()
    log = lake.speed_log("main")
    with claim(lake, log, "speed", lease=timedelta(seconds=0.3)):
        first = read_lease(lake, log)
        wait_until(lambda: (now := read_lease(lake, log)) and first and now.until > first.until, 60, "renewal")
    assert read_lease(lake, log) is None


def test_the_log_of_a_frozen_process_is_taken_over_once_its_lease_has_run_out(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    log = lake.speed_log("main")
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(ConflictError), claim(lake, log, "speed"):
            pass
        with claim(lake, log, "speed", lambda: system_clock() + LEASE) as writer:
            assert writer.claim == 2
            child.send_signal(signal.SIGCONT)
            child.communicate("")
            assert is_claimed(lake, log), "who wakes up leaves the lease of the other alone"
    finally:
        child.kill()
        child.wait()


def test_who_has_the_lock_is_about_to_write_a_lease(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    log = lake.speed_log("main")
    with claim(lake, log, "speed"):
        obstore.delete(lake.store, "leases/speed/main.json")
        with pytest.raises(ConflictError), claim(lake, log, "speed"):
            pass


def test_a_lease_is_renewed_again_once_the_store_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = memory_lake()
    log = lake.speed_log("main")
    tried = threading.Event()

    def full(*_: object, **__: object) -> None:
        tried.set()
        raise GenericError("no space left on device")

    with claim(lake, log, "speed", lease=timedelta(seconds=0.3)):
        with monkeypatch.context() as patched:
            patched.setattr(obstore, "put", full)
            assert tried.wait(30)
        first = read_lease(lake, log)
        wait_until(lambda: (now := read_lease(lake, log)) and first and now.until > first.until, 30, "renewal")


def test_what_a_holder_waits_for_stands_in_its_lease_since_it_began_to() -> None:
    lake, clock = memory_lake(), ManualClock(NOW)
    log = lake.speed_log("main")

    def told() -> tuple[str, str]:
        held = read_lease(lake, log)
        assert held is not None
        return held.waits, held.since

    with claim(lake, log, "speed", clock) as writer:
        assert told() == ("", "")
        writer.tell("the broker")
        clock.advance(timedelta(seconds=5))
        writer.tell("the broker, still")
        assert told() == ("the broker, still", NOW.isoformat())
        writer.tell("")
        assert told() == ("", "")


def test_a_damaged_lease_is_no_obstacle() -> None:
    lake = memory_lake()
    obstore.put(lake.store, "leases/speed/main.json", b"{")
    with claim(lake, lake.speed_log("main"), "speed") as writer:
        assert writer.claim == 1


def test_who_starts_between_imports_that_come_and_go_waits_for_them_and_for_no_other_holder(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    log = lake.archive_log("main")
    ended = threading.Event()

    def imports() -> None:
        while not ended.is_set():
            with suppress(ConflictError), claim(lake, log, "import"):
                pass

    threads = [threading.Thread(target=imports) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            with claim_between(lake, log, "archive", "import", 60) as writer:
                assert writer.holder.startswith("archive-")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    with claim(lake, log, "archive"), pytest.raises(ConflictError), claim_between(lake, log, "archive", "import", 60):
        pass


def test_an_import_that_holds_on_is_transient_for_who_waits(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    log = lake.archive_log("main")
    with (
        claim(lake, log, "import"),
        pytest.raises(TransientError) as caught,
        claim_between(lake, log, "archive", "import", 0.2),
    ):
        pass
    assert caught.value.condition is Condition.WRITER_CONFLICT


def test_who_waits_is_next_and_is_named_to_all_others(tmp_path: Path) -> None:
    lake, clock = Lake.open(str(tmp_path)), ManualClock(NOW)
    log = lake.archive_log("main")
    with claim(lake, log, "import", clock):
        waiting = threading.Thread(target=lambda: _claims_between(lake, log, clock))
        waiting.start()
        wait_until(lambda: _next(lake).exists(), 30, "the archive to say that it waits")
        with pytest.raises(ConflictError, match="import-"), claim_between(lake, log, "archive", "import", 60, clock):
            pass
    waiting.join()
    assert not _next(lake).exists()


def test_nobody_passes_one_who_is_next_unless_its_process_is_gone(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    log = lake.archive_log("main")
    process = psutil.Process()
    lease = Lease("archive-12345678", socket.gethostname(), process.pid, process.create_time(), "9999-01-01T00:00:00Z")
    _next(lake).parent.mkdir(parents=True)
    _next(lake).write_text(json.dumps(asdict(lease)))
    with pytest.raises(ConflictError, match="archive-12345678 on"), claim(lake, log, "import"):
        pass
    _next(lake).write_text(json.dumps(asdict(replace(lease, born=lease.born - 1))))
    with claim(lake, log, "import") as writer:
        assert writer.holder.startswith("import-")


def _claims_between(lake: Lake, log: Log, clock: Clock) -> None:
    with claim_between(lake, log, "archive", "import", 60, clock):
        pass


def _next(lake: Lake) -> Path:
    return Path(lake.uri) / "leases/archive/main.next.json"
