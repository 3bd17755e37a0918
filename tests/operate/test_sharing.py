"""Several roles in one process: one that ends ends all, by the error that came first; and who runs what."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from seamline.errors import Condition, ConflictError, TransientError
from seamline.operate.sharing import all_of
from seamline.operate.stack import roles
from seamline.operate.template import make_project
from seamline.schemas.project import load_project


def test_one_that_fails_ends_the_others_and_its_error_is_what_is_said() -> None:
    stop, ended = threading.Event(), list[bool]()
    first = ConflictError(Condition.WRITER_CONFLICT, "held by another", hint="wait")

    def fails() -> None:
        raise first

    def follows() -> None:
        ended.append(stop.wait(30))
        raise TransientError(Condition.PROCESS_FAILED, "its Spark went with the first", hint="none")

    with pytest.raises(ConflictError) as raised:
        all_of([follows, fails, lambda: ended.append(stop.wait(30))], stop)
    assert raised.value is first
    assert ended == [True, True]


def test_they_end_together_without_an_error_when_they_are_told_to() -> None:
    stop, ended = threading.Event(), list[bool]()
    threading.Timer(0.05, stop.set).start()
    all_of([lambda: ended.append(stop.wait(30))] * 3, stop)
    assert ended == [True, True, True]


def test_a_small_machine_runs_two_roles_and_no_layer_is_left_out(tmp_path: Path) -> None:
    make_project(tmp_path / "shop")
    project = load_project(tmp_path / "shop")
    names = {shared: [role.name for role in roles(project, {}, shared=shared)] for shared in (False, True)}
    assert names == {False: ["archive", "speed", "scheduler", "serving"], True: ["together", "serving"]}
