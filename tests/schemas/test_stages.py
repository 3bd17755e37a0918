"""The stages of a view, from text to definition: none is gone back to once a later one has begun."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from places import ROOT

from seamline.schemas.contracts.contract import load_contracts
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import load_views, parse_views

EXAMPLES = sorted((ROOT / "examples").glob("*/views"))
STAGES = {
    "parse": ("parsed", "headers", "unions"),
    "bind": (
        *("bound", "events", "union_binding", "select_list", "names", "grouping", "binding"),
        *("derived_binding", "derived_selection"),
    ),
    "check": ("checked", "finalise", "described"),
    "compile": ("compiled", "rowwise"),
}
"""The modules that work in each; what they share (words, tokens, calls, buckets, the user's own text) is in none."""


def working() -> Iterator[tuple[CodeType, str]]:
    """Every function of a stage's modules, and its stage; methods of the values that stages hand on are none."""
    for stage, names in STAGES.items():
        for name in names:
            module = import_module(f"seamline.schemas.views.{name}")
            for function in vars(module).values():
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    yield function.__code__, stage


def stages_of(work: Callable[[], object]) -> list[str]:
    """The stages whose functions are called, in order, each as often as it is entered."""
    code, called = dict(working()), list[str]()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code in code:
            called.append(code[frame.f_code])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return [stage for stage, _ in groupby(called)]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.parent.name)
def test_no_stage_of_a_view_is_gone_back_to(folder: Path) -> None:
    contracts, views = load_contracts(folder.parent / "contracts"), load_views(folder)
    for view in views.values():

        def read_and_compile(text: str = view.text) -> None:
            (read,) = parse_views(text, "v.sql")
            compile_for(read, contracts, views)

        over_view = any(name in views for name in view.contracts)
        once = ["bind", "check", "compile"]
        assert stages_of(read_and_compile) == ["parse", *(once if over_view else ()), *once], view.name
