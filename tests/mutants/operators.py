"""What is changed in a source file, one thing at a time: generic operators over its syntax tree. Pure.

Left alone is what says nothing about behaviour: annotations, decorators, what an error or the log says to people, and
whether a zip checks that both sides are as long.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

FLIPPED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
SWAPPED: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.BitOr: "&"}


@dataclass(frozen=True)
class Mutant:
    """A change: the text from `start` to `end` (offsets in the file) becomes `text`."""

    line: int
    what: str
    start: int
    end: int
    text: str

    def applied(self, source: str) -> str:
        """The file with the change."""
        return source[: self.start] + self.text + source[self.end :]


class Places:
    """Offsets of nodes in a file's text."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line.encode()))
        self._bytes = source.encode()

    def offset(self, line: int, column: int) -> int:
        """The character where a line and column (in bytes, as ast counts) is."""
        return len(self._bytes[: self._lines[line - 1] + column].decode())

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """A node's first character, and the one after its last."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def between(self, left: ast.expr, right: ast.expr) -> tuple[int, int]:
        """What stands between two nodes: an operator."""
        return self.span(left)[1], self.span(right)[0]


@dataclass(frozen=True)
class File:
    """A file's text, and where its nodes stand."""

    source: str
    places: Places

    def text(self, node: ast.expr) -> str:
        """A node as it is written."""
        return self.source[slice(*self.places.span(node))]

    def change(self, node: ast.expr | ast.stmt, text: str, what: str) -> Mutant:
        """The whole node becomes another text."""
        return Mutant(node.lineno, what, *self.places.span(node), text)

    def operator(self, left: ast.expr, right: ast.expr, text: str) -> Iterator[Mutant]:
        """What stands between two nodes becomes another text, where it is an operator and nothing else."""
        start, end = self.places.between(left, right)
        before = self.source[start:end].strip()
        if before and "(" not in before and ")" not in before and "#" not in before:
            yield Mutant(left.lineno, f"{before} becomes {text}", start, end, f" {text} ")


def mutants(source: str) -> Iterator[Mutant]:
    """Every change of a file, in its order."""
    file = File(source, Places(source))
    found = [
        mutant
        for node in _nodes(ast.parse(source))
        for changed in (_operators, _conditions, _constants, _removed)
        for mutant in changed(node, file)
    ]
    yield from sorted(found, key=lambda one: (one.start, one.what))


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, but for what is left alone."""
    yield node
    for field, value in ast.iter_fields(node):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.AST) and not _left_alone(node, field, one):
                yield from _nodes(one)


def _left_alone(parent: ast.AST, field: str, node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="logger")))) | ast.keyword(arg="strict"):
            return True
    return field in ("annotation", "returns", "decorator_list") or isinstance(parent, ast.Raise)


def _operators(node: ast.AST, file: File) -> Iterator[Mutant]:
    match node:
        case ast.Compare():
            for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
                yield from file.operator(left, right, FLIPPED[type(operator)])
        case ast.BoolOp():
            for left, right in pairwise(node.values):
                yield from file.operator(left, right, "or" if isinstance(node.op, ast.And) else "and")
        case ast.BinOp() if type(node.op) in SWAPPED:
            yield from file.operator(node.left, node.right, SWAPPED[type(node.op)])
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            other = "max" if name == "min" else "min"
            yield file.change(node.func, other, f"{name} becomes {other}")


def _conditions(node: ast.AST, file: File) -> Iterator[Mutant]:
    match node:
        case ast.UnaryOp(op=ast.Not()):
            yield file.change(node, f"bool({file.text(node.operand)})", "not goes")
        case ast.If() | ast.IfExp():
            for value in ("True", "False"):
                yield file.change(node.test, value, f"the condition is {value}")
        case ast.While():
            yield file.change(node.test, "False", "the loop's condition is False")
        case ast.comprehension():
            for test in node.ifs:
                yield file.change(test, "True", "the comprehension's condition is True")


def _constants(node: ast.AST, file: File) -> Iterator[Mutant]:
    match node:
        case ast.Constant(value=bool() as value):
            yield file.change(node, str(not value), f"{value} becomes {not value}")
        case ast.Constant(value=int() as value):
            yield file.change(node, str(value + 1), f"{value} becomes {value + 1}")


def _removed(node: ast.AST, file: File) -> Iterator[Mutant]:
    match node:
        case ast.Raise():
            yield file.change(node, "pass", "raise goes")
        case ast.Expr(value=ast.Call(func=func)):
            yield file.change(node, "pass", f"{ast.unparse(func)}() is not called")
        case ast.AugAssign():
            yield file.change(node, "pass", f"{ast.unparse(node.target)} is not added to")
