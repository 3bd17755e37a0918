"""What a running stream asks of a lake to know the definitions that live."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from handmade import VIEW, Handmade
from requests_made import Requests

from seamline import objects
from seamline.config import Settings
from seamline.hints import HINTS
from seamline.schemas.project import Project
from seamline.streaming.following import Following


def text(number: int) -> str:
    return VIEW.replace("VIEW sales", f"VIEW sales{number}")


@pytest.mark.parametrize("views", [1, 30])
def test_a_running_stream_learns_of_a_definition_by_one_request_a_look_and_without_a_hint_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    project = Project(tmp_path, Settings(), {}, {})
    made = Handmade(tmp_path, *(text(n) for n in range(views)), lake=project.lake)
    following = Following(project, "main", made.clock)
    following.look()
    requests = Requests(monkeypatch)
    assert requests.of(following.look) == [("list", HINTS)]
    made.view(*(text(n) for n in range(views + 1)))
    assert following.look()
    assert len(following.live) == views + 1

    def lost(*_: object) -> bool:
        return False

    monkeypatch.setattr(objects, "put_once", lost)
    made.view(*(text(n) for n in range(views + 2)))
    assert not following.look()
    made.clock.advance(timedelta(seconds=project.settings.serving.sweep_seconds))
    assert following.look()
    assert len(following.live) == views + 2


def test_what_is_served_is_one_definition_of_a_view_however_many_get_epochs(tmp_path: Path) -> None:
    project = Project(tmp_path, Settings(), {}, {})
    made = Handmade(tmp_path, text(1), lake=project.lake)
    following = Following(project, "main", made.clock)
    before = following.served
    made.view(text(1).replace("count(*) AS orders", "count(*) + 1 AS orders"))
    assert following.look()
    assert len(following.live) == 2
    assert following.served == before
