"""Wrong and changed definitions on a running stream: nothing half applied, and each answer true by its own text."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from field import Field, orders
from reader import Reader
from waiting import wait_until

from seamline.commitpoint import hooked
from seamline.entries.speed import Epoch
from seamline.history.speed import SpeedHistory
from seamline.schemas.catalogue import Catalogue

BY_SHOP = """CREATE MATERIALIZED VIEW sales AS
SELECT placed::DATE AS day, shop, count(*) AS orders, sum(amount) AS amount, max(placed) AS latest
FROM orders WHERE amount > 10 GROUP BY ALL"""

BY_BUYER = """CREATE MATERIALIZED VIEW sales AS
SELECT date_trunc('month', placed) AS month, buyer, count(weight) AS weighed, max(amount) AS most
FROM orders GROUP BY ALL"""

GOOD = "CREATE MATERIALIZED VIEW a_good_one AS SELECT placed::DATE AS day, count(*) AS n FROM orders GROUP BY ALL;\n"

YAML, SQL, TOML = "contracts/orders.yaml", "views/sales.sql", "seamline.toml"


@dataclass(frozen=True)
class Wrong:
    """What is changed in one file, where the message must point to, and what it must say."""

    file: str
    old: str
    new: str
    place: str
    says: str
    hint: str
    command: tuple[str, ...] = ("views", "apply")


WRONG = {
    "yaml that does not end": Wrong(YAML, "number}", "number", ":14:9", "[CONTRACT_INVALID]", "correct the syntax"),
    "an unknown key": Wrong(
        YAML, "active\n", "active\ncolour: red\n", ":6:1", "unknown key 'colour'", "remove the line", ("up",)
    ),
    "an unknown type": Wrong(YAML, "integer", "intger", ":12:24", "logicalType is 'intger'", "write integer"),
    "sql that is none": Wrong(SQL, "GROUP BY ALL", "GROUP ALL", ":4:19", 'near "ALL"', "check commas"),
    "no such field": Wrong(SQL, "sum(amount)", "sum(amout)", ":2:86", "unknown field 'amout'", "'amount'?"),
    "no such field, at the start": Wrong(SQL, "max(placed)", "max(plaed)", ":3:34", "unknown field 'plaed'",
                                         "'placed'?", ("up",)),
    "no such contract": Wrong(SQL, "FROM orders", "FROM ordres", ":4:6", "[CONTRACT_UNKNOWN]",
                             "name a contract or another view"),
    "toml that is none": Wrong(TOML, "[archive]", "[archive", ":6:9", "not TOML", "correct that line",
                               ("batch", "refresh")),
    "an unknown setting": Wrong(TOML, "trigger_ms", "tigger_ms", ":7", "archive.tigger_ms", "configuration.md"),
    "a setting of another type": Wrong(TOML, "= 200", '= "soon"', ":7", "archive.trigger_ms", "configuration.md"),
}  # fmt: skip


def test_what_is_wrong_in_a_file_is_one_message_and_nothing_is_half_applied(
    field: Callable[..., Field], spark: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = field()
    with here.read() as reader, here.speed(spark) as failed:
        here.send(*orders(50))
        reader.reaches(here.topic.end)
        before = applied(here)
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda case: told(here, tmp_path / case, WRONG[case]), WRONG))
        assert reader.asks()
        for case, run in zip(WRONG, done, strict=True):
            wrong = WRONG[case]
            assert run.returncode == 2, (case, run.stderr)
            assert run.stdout == ""
            assert run.stderr.count("error: ") == 1, (case, run.stderr)
            assert "Traceback" not in run.stderr
            message, detail, hint = run.stderr[run.stderr.index("error: ") :].splitlines()
            assert f"{tmp_path / case / wrong.file}{wrong.place}: " in message, (case, message)
            assert wrong.says in message, (case, message)
            assert detail.startswith("  detail: ")
            assert hint.startswith("  hint: ")
            assert wrong.hint in hint, (case, hint)

        contract = here.project.folder / YAML
        contract.write_text(contract.read_text().replace("number}", "number"))
        wait_until(lambda: "is not used as it stands" in caplog.text, 60, "the running role has seen the broken file")
        here.send(*orders(20, "after"), b"{")
        reader.reaches(here.topic.end)
        assert applied(here) == before
    assert not failed


def told(here: Field, folder: Path, wrong: Wrong) -> subprocess.CompletedProcess[str]:
    """What the command says of a copy of the running project (on the same lake) in which one file is wrong."""
    for name in (YAML, SQL, TOML):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((here.project.folder / name).read_text())
    (folder / "views" / "a_good_one.sql").write_text(GOOD)
    with (folder / TOML).open("a") as settings:
        settings.write(f'[lake]\nuri = "{here.lake.uri}"\n')
    text = (folder / wrong.file).read_text()
    assert wrong.old in text
    (folder / wrong.file).write_text(text.replace(wrong.old, wrong.new, 1))
    command = [sys.executable, "-m", "seamline", *wrong.command, "--project", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def applied(here: Field) -> list[str]:
    """Every entry about views and their versions."""
    ledger = Path(here.lake.uri) / "ledger"
    return sorted(str(path) for kind in ("views", "batch") for path in (ledger / kind).rglob("*.json"))


def test_a_changed_view_is_switched_to_while_records_arrive_and_speed_dies(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    batch = here.batch(spark)
    history = orders(100)
    with here.read() as reader, here.archive(spark) as archive_failed:
        with here.speed(spark):
            here.send(*history, *history[:20])
            reader.reaches(here.topic.end)
            wait_until(here.archived(), 90, "all archived")
            old = batch.refresh("sales").definition

        here.change("sales", BY_SHOP)
        for number, point in enumerate(("speed.after-files", "speed.after-entry")):
            with dying(point), here.speed(spark) as failed:
                here.send(*orders(30, f"{number}-"), *history[20:40], b"{")
                wait_until(lambda: failed, 90, f"death at {point}")
            assert {seen.definition for seen in reader.asks()} == {old}, "served until a version of the new one stands"
        with here.speed(spark) as failed:
            here.send(*orders(30, "0-"), *orders(30, "live"))
            reader.reaches(here.topic.end)
            wait_until(here.archived(), 90, "all archived")
            new = batch.refresh("sales").definition
            here.send(*orders(30, "more"), *orders(30, "1-"), *history[:10])
            reader.reaches(here.topic.end)

            here.change("sales", BY_BUYER)
            ends = here.topic.end
            wait_until(lambda: batch.refresh("sales").definition not in ("", new), 90, "a switch without a record")
            newest = served(reader, here)
            here.send(*orders(10, "last"), *history[50:60])
            reader.reaches(here.topic.end)
    assert not failed + archive_failed
    assert len({old, new, newest}) == 3
    assert {seen.definition for seen in reader.seen} == {old, new, newest}
    first = next(epoch for epoch in epochs(here) if newest in epoch.files)
    assert first.start == first.end == ends, "an epoch without records said that those to come list it"


@contextmanager
def dying(point: str) -> Iterator[None]:
    """The speed role dies where it first reaches a commit point."""
    died = threading.Event()

    def hook(reached: str) -> None:
        if reached == point and not died.is_set():
            died.set()
            raise RuntimeError("power is lost")

    with hooked(hook):
        yield
    assert died.is_set()


def served(reader: Reader, here: Field) -> str:
    """The definition that is served from now on, once the reader has been told."""
    now = Catalogue(here.lake).states["sales"].served
    wait_until(lambda: reader.seen[-1].definition == now, 60, "the switch")
    return str(now)


def epochs(here: Field) -> list[Epoch]:
    """Every epoch, oldest first."""
    return list(SpeedHistory(here.lake.speed_log("main")).epochs.values())
