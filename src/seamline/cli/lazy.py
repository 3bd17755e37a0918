"""Commands that are imported when they are asked for: a list of commands takes no more than their names and a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from seamline.serve_cli.options import MARKUP


@dataclass(frozen=True)
class LazyCommand:
    """A command to import."""

    module: str
    """The module of `room` whose `add` adds it."""

    about: str
    """The first paragraph of its help."""

    room: str = "seamline.cli"
    """The package that holds the module."""


class LazyGroup(TyperGroup):
    """A group that imports a command once it is called, completed or asked for its own help; its list imports none."""

    parts: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._loaded: dict[str, Any] = {}
        for name, part in self.parts.items():
            self.add_command(TyperCommand(name=name, help=part.about), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first word names, imported."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, self.load(name) if name is not None else None, rest

    def load(self, name: str) -> Any:
        """One command, imported; always the same."""
        if name not in self._loaded:
            app = typer.Typer(rich_markup_mode=MARKUP)
            part = self.parts[name]
            import_module(f"{part.room}.{part.module}").add(app)
            self._loaded[name] = get_group(app).commands[name]
        return self._loaded[name]


def load(context: typer.Context, name: str) -> Any:
    """A command of the group that is run now."""
    if not isinstance(context.command, LazyGroup):
        raise TypeError(f"{context.command.name} is no group whose commands are imported when asked for")
    return context.command.load(name)
