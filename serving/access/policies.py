"""Row policies: which rows of a view a token sees, as a condition over the view's keys; one file a view.

`policies/orders_by_hour.sql` holds `country = token.country`. What a token's attribute is, stands in its place as a
literal; one that a token lacks is NULL. The condition is read by DuckDB and held to what queries are held to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seamline.errors import Condition, SeamlineError, UserError
from seamline.kernel import fold, kernel, literal, quote
from seamline.serving.allowed import AGGREGATES
from seamline.serving.callers import RowRule
from seamline.serving.guard import check, check_text
from seamline.sql import TREE, Node, nodes, tokens

FOLDER = "policies"
TOKEN = "token"  # noqa: S105 - what an attribute stands behind

EXPRESSIONS = frozenset(
    "BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION OPERATOR TYPE".split()  # noqa: SIM905
)
"""What a condition is made of: no subquery, window, parameter, star or lambda."""

_PLAIN = frozenset(["aggregate_handling", "cte_map", "from_table", "select_list", "type"])
"""What a SELECT of one expression from one table has, and nothing else."""

_HINT = "write a condition over the view's keys, such as country = token.country"


@dataclass(frozen=True)
class RowPolicy:
    """One view's."""

    view: str
    """Folded."""

    text: str

    columns: frozenset[str]
    """The columns that it names, folded."""

    attributes: tuple[tuple[int, int, str], ...]
    """Where in the text which attribute of a token stands: its first character, the one after its last, its name."""

    def rule(self, values: Mapping[str, str]) -> RowRule:
        """For a token of these attributes, by folded name."""
        pieces, at = list[str](), 0
        for start, end, name in self.attributes:
            pieces += [self.text[at:start], literal(values[name]) if name in values else "NULL"]
            at = end
        return RowRule("".join([*pieces, self.text[at:]]), self.columns)


def load_policies(folder: Path) -> dict[str, RowPolicy]:
    """Every policy of a project's folder, by view. Raises CONFIG_INVALID with the file."""
    found: dict[str, RowPolicy] = {}
    for file in sorted((folder / FOLDER).glob("*.sql")):
        policy = parse_policy(file.stem, file.read_text(encoding="utf-8"), str(file))
        if policy.view in found:
            raise _wrong(f"a second policy of view {policy.view}", str(file))
        found[policy.view] = policy
    return found


def parse_policy(view: str, text: str, where: str) -> RowPolicy:
    """A policy of a text. Raises CONFIG_INVALID."""
    view, head = fold(view), "SELECT ("
    sql = f"{head}{text}\n) FROM {quote(view)}"
    try:
        check_text(sql)
        tree = str(kernel().run(TREE.replace("?", literal(sql))).column(0)[0].as_py())
        node = check(sql, tree).node
    except SeamlineError as error:
        raise _wrong(f"{error.message}", where) from error
    one = node["select_list"][0]
    alone = node.keys() == _PLAIN and len(node["select_list"]) == 1 and node["from_table"].get("table_name") == view
    if not alone or one.get("function_name") == "row":  # (), (true, false)
        raise _wrong("more than one condition", where)
    columns, named = set[str](), 0
    for path in _references(one, where):
        if len(path) == 2 and path[0] == TOKEN:
            named += 1
        elif len(path) == 1 or (len(path) == 2 and path[0] == view):
            columns.add(path[-1])
        else:
            raise _wrong(f"the name {'.'.join(path)}", where)
    attributes = tuple(_attributes(text))
    if len(attributes) != named:
        raise _wrong("an attribute in quotes", where)
    return RowPolicy(view, text, frozenset(columns), attributes)


def _references(expression: Node, where: str) -> Iterator[list[str]]:
    """The names in an expression, folded. Raises CONFIG_INVALID for what no condition is made of."""
    for node in nodes(expression):
        kind = node.get("class")
        if kind is not None and kind not in EXPRESSIONS:
            raise _wrong(f"{str(kind).lower()} in a policy", where)
        if kind == "FUNCTION" and fold(node.get("function_name", "")) in AGGREGATES:
            raise _wrong(f"the aggregate {node['function_name']}", where)
        if kind == "COLUMN_REF":
            yield [fold(name) for name in node["column_names"]]


def _attributes(text: str) -> Iterator[tuple[int, int, str]]:
    found = tokens(text)
    for first, dot, name in zip(found, found[1:], found[2:], strict=False):
        if first.kind == "word" and fold(first.text) == TOKEN and dot.sign == "." and name.kind == "word":
            yield first.start, name.end + 1, fold(name.text)


def _wrong(message: str, where: str) -> UserError:
    return UserError(
        Condition.CONFIG_INVALID, message, detail="one condition over the keys of the view that the file is named like",
        hint=_HINT, where=where,
    )  # fmt: skip
