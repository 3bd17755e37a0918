"""Walks the command line's tree, and parses a command without running it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.main import get_command


def leaves(app: typer.Typer) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of every command and group below `seamline`."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        for name in getattr(command, "commands", {}):
            inner = command.resolve_command(typer.Context(command), [name])[1]
            yield from walk(inner, (*words, name))

    return walk(get_command(app), ())


def parse(app: typer.Typer, words: Sequence[str]) -> None:
    """Raises what the parser raises: an unknown command or option, a missing argument, a value of the wrong type."""
    command: Any = get_command(app)
    name, rest = "seamline", list(words)
    parent = None
    while True:
        context = command.make_context(name, rest, parent=parent)
        rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else list(context.args)
        if not hasattr(command, "commands") or not rest:
            return
        name, following, rest = command.resolve_command(context, rest)
        assert following is not None
        parent, command = context, following
