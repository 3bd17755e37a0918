"""`Connection.live`: a folder and a URL tell the same updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import rows
from test_python_client import Project, running_project

import seamline
from seamline.connection import Connection
from seamline.errors import UserError

WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "INPUT_INVALID"),
    ({"view": "sails"}, "VIEW_UNKNOWN"),
    ({"sql": "x"}, "QUERY_INVALID"),
]


@pytest.mark.parametrize("way", ["folder", "url"])
def test_a_program_follows_a_view_and_a_query(tmp_path: Path, way: str) -> None:
    with running_project(tmp_path) as project:
        there = {"project": project.folder} if way == "folder" else {"project": project.url, "token": project.token}
        with seamline.connect(**there) as connection:  # type: ignore[arg-type]
            follow(connection, project)


def follow(connection: Connection, project: Project) -> None:
    state: dict[Any, Any] = {}
    updates, sums = connection.live(view="sales"), connection.live("SELECT $1, count(*) FROM sales", ["a"])
    first, one = next(updates), next(sums)
    first.folded(state, ["hour", "shop"])
    assert (first.kind, one.kind, one.rows) == ("answer", "answer", (("a", len(state)),))
    project.made.epoch(rows(2, 400))
    changed = next(updates)
    changed.folded(state, ["hour", "shop"])
    assert (changed.kind, changed.epoch, changed.keys) == ("changes", (first.epoch or 0) + 1, ("hour", "shop"))
    there = next(connection.live(view="sales"))
    assert sorted(map(str, state.values())) == sorted(map(str, there.rows))
    assert next(sums).kind in ("same", "answer")
    again = next(connection.live(view="sales", after=first.id))
    assert (again.kind, sorted(map(str, again.rows))) == ("changes", sorted(map(str, changed.rows)))
    for wrong, condition in (
        ({}, "INPUT_INVALID"),
        ({"view": "sails"}, "VIEW_UNKNOWN"),
        ({"sql": "x"}, "QUERY_INVALID"),
    ):
        with pytest.raises(UserError) as caught:
            next(connection.live(**wrong))
        assert caught.value.condition == condition
