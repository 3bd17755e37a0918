"""What the whole run shares: one broker, one Spark session, golden files, hypothesis profiles.

A test that uses `broker` or `spark` gets the marker of that name by itself, so `-m "not spark and not broker"` is the
quick run whatever a test's author forgot. With `--dist loadgroup` those that use them run on one worker; those that
start a broker and roles of their own on a second one: they wait for each other's processes most of the time.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
# The same cases each time, so that no landing hangs on luck. `quick` is make test-quick's; `long` looks for new cases.
settings.register_profile("landing", max_examples=30, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("quick", max_examples=5, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "landing"))

REAL = ("broker", "spark")
SHARED, OWN = "the run's broker and Spark", "processes of its own"
"""The groups of those tests: each runs on one worker, one test after the other."""

collect_ignore = ["with_airflow", "with_clients", "with_promtool"]
"""What not every machine has: make test-airflow, make test-clients, make test-rules."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = [name for name in REAL if name in getattr(item, "fixturenames", ())]
        for name in used:
            item.add_marker(name)
        if any(item.get_closest_marker(name) for name in REAL):
            item.add_marker(pytest.mark.xdist_group(SHARED if used else OWN))


@pytest.fixture(scope="session")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fails where a second worker of a run wants a broker or Spark: a run has one of each."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        mine = tmp_path_factory.getbasetemp()
        try:
            (mine.parent / "real").symlink_to(mine.name)
        except FileExistsError as error:
            raise RuntimeError("two workers want a broker and Spark: run with --dist loadgroup") from error


@pytest.fixture(scope="session")
def broker(one_worker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real broker for the whole run; `broker.bootstrap` is its address."""
    from seamline.machine.broker import Broker

    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def spark(one_worker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The run's one Spark session, local[2]."""
    from seamline.sides.spark import session

    opened = session("seamline-tests", "local[2]", log=tmp_path_factory.mktemp("spark") / "spark.log")
    yield opened
    opened.stop()


@pytest.fixture
def fresh_topic(broker: Any, request: pytest.FixtureRequest) -> Callable[..., str]:
    """`fresh_topic(partitions=2, **configs)` makes a topic with a name of its own and returns the name."""
    from kafka.admin import KafkaAdminClient, NewTopic

    numbers = itertools.count()
    stem = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]

    def make(partitions: int = 2, **configs: str) -> str:
        name = f"{stem}-{next(numbers)}-{uuid.uuid4().hex[:8]}"
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        try:
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)], wait_for_metadata=True)
        finally:
            admin.close()
        return name

    return make


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares with tests/golden/<name>; GOLDEN=write rewrites the file, to be read in a diff."""

    def check(name: str, text: str) -> None:
        file = Path(__file__).parent / "golden" / name
        text = text.rstrip("\n") + "\n"
        if os.environ.get("GOLDEN") == "write":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert file.exists(), f"{file} is missing: run `GOLDEN=write pytest {request.node.nodeid}` and read it"
        assert text == file.read_text(), f"differs from {file}"

    return check
