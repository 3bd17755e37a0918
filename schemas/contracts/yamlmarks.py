"""YAML with its line marks: every message about a file can say line and column.

Doubled keys are refused (PyYAML keeps the last one without a word), and aliases of lists and mappings too: a
contract is written out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import yaml

from seamline.errors import Condition, UserError

NodePath = tuple[str | int, ...]


class JsonValues(yaml.SafeLoader):
    """Plain values are what JSON has, numbers, true, false and null; any other is text, times and NO too."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to say it


for _tag, _written, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", list("-0123456789")),
):
    JsonValues.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_written})$"), _first)


class Marks:
    """A YAML document: its `data`, and where each part of it stands."""

    def __init__(
        self,
        text: str,
        where: str,
        condition: Condition = Condition.CONTRACT_INVALID,
        *,
        loader: type[yaml.SafeLoader] = yaml.SafeLoader,
        guide: str = "docs/contracts.md",
    ) -> None:
        """`loader` says what values are; `guide`, what is named to whoever wrote no mapping. Raises UserError where the
        text is not one YAML mapping with distinct keys."""
        self.where = where
        self.condition = condition
        self._loader = loader
        self._guide = guide
        self._marks: dict[NodePath, tuple[int, int]] = {(): (1, 1)}
        self._seen: set[int] = set()
        self.data: dict[str, Any] = self._load(text)

    def error(self, path: NodePath, message: str, detail: str = "", hint: str = "") -> UserError:
        """What is wrong at `path` (or at the nearest part above it that exists), with file, line and column."""
        while path not in self._marks:
            path = path[:-1]
        return self._error(*self._marks[path], message, detail, hint)

    def unknown(self, path: NodePath, key: str, known: Iterable[str]) -> UserError:
        """An unknown key, with the known one that looks most like it."""
        names = sorted(known)
        near = difflib.get_close_matches(key, names, 1)
        hint = f"write {near[0]!r}" if near else "remove the line"
        return self.error((*path, key), f"unknown key {key!r}", ", ".join(names), hint)

    def _error(self, line: int, column: int, message: str, detail: str, hint: str) -> UserError:
        return UserError(self.condition, message, detail=detail, hint=hint, where=f"{self.where}:{line}:{column}")

    def _load(self, text: str) -> dict[str, Any]:
        loader = None
        try:
            loader = self._loader(text)
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise self._error(1, 1, "this file is no YAML mapping", "keys and values", f"see {self._guide}")
            self._walk(node, ())
            data: dict[str, Any] = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            message = "not YAML: " + ", ".join(part for part in (error.context, error.problem) if part)
            raise self._error(line, column, message, "one document of YAML 1.1", "correct the syntax") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            text = " ".join(str(error).split())[:200]
            raise self._error(1, 1, f"not YAML: {text}", "YAML 1.1", "correct the value, or quote it") from error
        finally:
            if loader is not None:
                loader.dispose()
        return data

    def _walk(self, node: yaml.Node, path: NodePath) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self._marks.setdefault(path, (line, column))
        if isinstance(node, yaml.ScalarNode):
            return
        if id(node) in self._seen:
            raise self._error(line, column, "an alias", "values written out", "copy the value here")
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, child in enumerate(node.value):
                self._walk(child, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            self._walk_mapping(node, path)

    def _walk_mapping(self, node: yaml.MappingNode, path: NodePath) -> None:
        first: dict[str, int] = {}
        for key, child in node.value:
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise self._error(line, column, "a key that is not text", "text keys", "put the key in quotes")
            if key.value in first:
                message = f"key {key.value!r} stands twice, first in line {first[key.value]}"
                raise self._error(line, column, message, "each key once", "remove one of the two")
            first[key.value] = line
            self._marks[(*path, key.value)] = (line, column)
            self._walk(child, (*path, key.value))
