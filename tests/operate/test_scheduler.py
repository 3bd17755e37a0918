"""What the scheduler asks of a lake to know whether there is something to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import VIEW, Handmade, rows
from requests_made import Requests

from seamline.config import Settings
from seamline.hints import HINTS
from seamline.operate.scheduler import Duties
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.project import Project


@pytest.mark.parametrize("views", [1, 30])
def test_what_waits_is_known_by_one_request_however_many_views_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    project = Project(tmp_path, Settings(), {}, {})
    made = Handmade(tmp_path, *(VIEW.replace("VIEW sales", f"VIEW sales{n}") for n in range(views)), lake=project.lake)
    made.epoch(rows(10))
    duties = Duties(project, SparkUnits(project))
    definitions = {f"sales{n}": made.served(f"sales{n}").hash for n in range(views)}
    assert duties.waiting() == set(definitions.values())
    requests = Requests(monkeypatch)
    assert requests.of(duties.waiting)[:2] == [("list", HINTS)]
    made.version(made.sent, cut=10, view="sales0")
    assert len(requests.of(duties.waiting)) <= 12
    assert duties.waiting() == set(definitions.values()) - {definitions["sales0"]}
