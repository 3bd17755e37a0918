"""The field that a test's faults happen on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from field import Field


@pytest.fixture
def field(broker: Any, fresh_topic: Callable[..., str], tmp_path: Path) -> Callable[..., Field]:
    """`field(partitions=2, settings="", views=…)` makes a project over a fresh topic of the run's broker."""

    def make(partitions: int = 2, **named: Any) -> Field:
        configs = named.pop("configs", {})
        return Field(
            tmp_path / "project", broker.bootstrap, fresh_topic(partitions, **configs), partitions=partitions, **named
        )

    return make
