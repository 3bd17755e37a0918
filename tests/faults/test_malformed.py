"""Records that no parser should be given: each is rejected with a reason or counted, kept byte for byte, and passed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from field import Field, Written, orders
from truth import Event
from waiting import wait_until

from seamline.history.archive import ArchiveHistory
from seamline.streaming.archive.tables import RawTable

DEEP = 2000
LONG = 5 << 20
AT = "2024-05-01T00:00:00Z"
PLAIN = orders(1, "plain", datetime(2024, 5, 1, tzinfo=UTC))[0]


def fields(**changed: Any) -> bytes:
    """An order's JSON with some fields changed."""
    return json.dumps({**asdict(PLAIN), "placed": AT, **changed}).encode()


def nested(value: bytes) -> bytes:
    """A list in a list in a list."""
    return b"[" * DEEP + value + b"]" * DEEP


REJECTED: dict[bytes | None, str] = {
    b'{"id": "x", "placed": ': "bad JSON",
    b'{"id": "x", "placed": "2024-05-01T00:00:00Z", "amount": NaN}': "bad JSON",
    b"\xff\xfe" + fields(): "bad UTF-8",
    fields(shop="caf\u00e9", id="utf").replace(b"caf\\u00e9", "caf\u00e9".encode("latin-1")): "bad UTF-8",
    b'{"id": "no time", "shop": "a"}': "missing: placed",
    fields(placed=None): "missing: placed",
    fields(amount="many"): "wrong type: amount",
    fields(amount=1.5): "wrong type: amount",
    fields(placed="yesterday"): "wrong type: placed",
    fields(placed="9999-05-01T00:00:00Z"): "event time in the future",
    fields(placed="9999-12-31T23:59:59.999999-01:00"): "wrong type: placed",
    fields(placed="0001-01-01T00:00:00Z"): "event time too early",
    fields(amount=2**63): "out of range: amount",
    b'"an order"': "not an object",
    nested(b"1"): "not an object",
    nested(b"1")[:-1]: "bad JSON",
    fields(amount="@").replace(b'"@"', nested(b"1")): "wrong type: amount",
    fields(amount="9" * LONG): "wrong type: amount",
    b"{" * LONG: "bad JSON",
    b"": "bad JSON",
    None: "null value",
}
"""What must not count, and why."""


def strange() -> list[Written]:
    """What looks as bad and is valid: only the fields that the contract names decide."""
    long = Event("long", PLAIN.placed, "a", 1, 0.5, "y" * LONG)
    deep = Event("deep", PLAIN.placed, "b", 2, 0.5, "x")
    unknown = fields(id="deep", shop="b", amount=2, buyer="x", weight=0.5, unknown="@").replace(b'"@"', nested(b"{}"))
    return [Written(long, long.encode()), Written(deep, unknown)]


def test_malformed_records_are_rejected_with_their_reason_kept_byte_for_byte_and_the_stream_goes_on(
    field: Callable[..., Field], spark: Any
) -> None:
    here = field()
    valid = strange()
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        here.send(*orders(20))
        reader.reaches(here.topic.end)
        here.send(*REJECTED, *valid)
        reader.reaches(here.topic.end)
        here.send(*orders(20, "after-"), *valid)
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        version = here.batch(spark).rebuild("sales").version
        wait_until(lambda: reader.seen[-1].version == version, 60, "the version is served")
    assert not failed + also_failed
    kept = raw(here)
    assert {row["_value"]: row["_reject"] for row in kept if row["_reject"]} == REJECTED
    sent = Counter(record.value for records in here.topic.partitions for record in records)
    assert sent == Counter(row["_value"] for row in kept)


def raw(here: Field) -> list[dict[str, Any]]:
    """Bytes and reasons as the ledger's table versions have them."""
    rows = []
    for path, version in ArchiveHistory(here.lake.archive_log("main")).tables.items():
        files = [here.lake.absolute(file) for file in RawTable(here.lake, path, version=version).files()]
        if files:
            rows += here.lake.kernel().run("SELECT _value, _reject FROM raw", {"raw": files}).to_pylist()
    return rows
