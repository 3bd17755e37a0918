"""Whatever a file of views holds, reading and checking it raises nothing but VIEW_INVALID.

`HYPOTHESIS_PROFILE=long` tries 10,000 texts.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_views import CASES, CONTRACT, GITHUB

from seamline.errors import Condition, UserError
from seamline.schemas.algebra import ALGEBRA, NAMES
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.views.language import ALLOWED, SYNTAX, TYPES, UNITS
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.properties import PROPERTIES
from seamline.schemas.views.text import parse_views

pytestmark = pytest.mark.thorough

TEXTS = settings().max_examples * 5

ORDERS = parse_contract(CONTRACT, "orders.yaml")
CONTRACTS = {"orders": ORDERS, "returns": parse_contract(CONTRACT.replace("name: orders", "name: returns"), "r.yaml")}
_TILES = """CREATE MATERIALIZED VIEW tiles AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, Shop AS shop, count(*) AS n, sum(amount) AS amount,
       approx_count_distinct(pieces) AS pieces, count(*) * 2 AS twice FROM orders GROUP BY ALL"""
BASES = {view.name: view for view in parse_views(_TILES, "tiles.sql")}
"""What views may be derived from."""
WHOLE = [f"CREATE MATERIALIZED VIEW v TBLPROPERTIES ('owner' = 'me') AS {select}" for select in CASES.values()]
WHOLE += [
    f"CREATE MATERIALIZED VIEW v AS SELECT date_trunc('day', placed) AS d,"
    f" {name}({'DISTINCT ' if distinct else ''}{', '.join([*['pieces'] * entry.arguments, *constants])}) AS x"
    " FROM orders GROUP BY ALL"
    for entry in ALGEBRA.values()
    for name, _, distinct in [entry.name.partition(" ")]
    for constants in entry.tried
]
WHOLE += [
    f"CREATE MATERIALIZED VIEW v AS SELECT placed::DATE AS d, {call} AS y FROM orders AS o GROUP BY ALL"
    for entry in ALGEBRA.values()
    if (call := entry.ordered.replace("(q)", "(0.5)").replace("x)", "o.pieces)"))
]
WHOLE += [
    """CREATE MATERIALIZED VIEW v AS SELECT date_trunc('day', at_time) AS d, kind, sum(pieces) AS n, first(shop) AS s
FROM (SELECT placed AS at_time, pieces, 'sold' AS kind, Shop AS shop FROM orders WHERE paid
      UNION ALL BY NAME SELECT placed AS at_time, -pieces AS pieces, 'back' AS kind FROM returns) AS e GROUP BY ALL""",
    """CREATE MATERIALIZED VIEW v AS SELECT day, count(*) AS n, max(amount) AS most
FROM (FROM orders UNION ALL BY NAME SELECT *, weight * 2 AS heavy FROM returns) GROUP BY day""",
    """CREATE MATERIALIZED VIEW v AS SELECT time_bucket(INTERVAL '1 day', hour) AS d, MEASURE(n) AS n,
  MEASURE(amount) / nullif(MEASURE(n), 0) AS rate FROM tiles AS t WHERE t.shop <> 'x' GROUP BY ALL HAVING n > 1""",
    """CREATE MATERIALIZED VIEW v AS SELECT hour::DATE AS d, MEASURE(pieces) AS p, measure(twice) AS t
FROM tiles GROUP BY d""",
] * 5
WHOLE += [path.read_text().replace("github_events", "orders") for path in sorted(GITHUB.glob("views/*.sql"))]

SQL = r"""
( ) [ ] { } , . ; : :: := + - * / // % ^ ** || & | ~ ! = == <> != < > <= >= -> ->> @ # $ $1 ? ?? \ ' " ` -- /* */ $$ $a$
'' "" e'\n' x'00' b'1' 0 1 -1 1e400 1_000 0x 1. .5 'day' 'UTC' '$.a' 'é' "é" 𝔘 İ ß ǅ
create or replace materialized view tblproperties as select from where group by all having order limit union except
intersect join left on using lateral values with recursive table pivot qualify window over partition rows range filter
within ignore nulls distinct exclude columns unnest unlist lambda x try now random read_text pragma set attach copy drop
insert offset sample asof positional semi anti cube rollup sets orders o v placed Shop amount price pieces weight paid
day tags buyer buyer.home.city _offset _element
"""
ODD = ["\x00", "\x1a", "\ufeff", "\u202e", "\u2028", "\ud7ff"]
VOCABULARY = [
    *NAMES,
    *sorted(ALLOWED),
    *sorted(SYNTAX),
    *sorted(UNITS),
    *sorted(TYPES),
    *PROPERTIES,
    *SQL.split(),
    *ODD,
]
TOKENS = re.compile(r"\s+|\w+|'[^']*'|\"[^\"]*\"|.", re.DOTALL)
DEEP = [
    "(",
    "[",
    "{",
    "not ",
    "- ",
    "case when ",
    "abs(",
    "x.",
    "'a'||",
    "/*",
    "pieces + (",
    "list_value(",
    "((",
    "::",
    "~",
]


_OPERANDS = """
pieces | weight | Shop | tags | placed | day | paid | amount | buyer | buyer.home.city | o.tags[1] | orders.Shop | 1 |
-1 | 1.5 | 1e400 | 'x' | '' | NULL | * | 9223372036854775808 | (pieces + 1) | (SELECT 1) | [1, 2] | [] |
{'a': pieces} | {} | (1, 2) | INTERVAL '1 day' | DATE '2026-01-01' | DISTINCT pieces | pieces ORDER BY 1 | a := 1 |
pieces::HUGEINT | tags::JSON | Shop::BLOB | placed::TIME | CASE WHEN paid THEN 1 END | pieces AS p | unnest(tags) |
sum(pieces) | count(*) | max(count(*)) | sum(pieces) FILTER (WHERE paid) | sum(pieces) OVER () | count(*) > 1 |
lower(Shop) | len(tags) | time_bucket(INTERVAL '1 day', placed, 'Asia/Seoul') | date_trunc('day', placed) |
placed::DATE | lambda x: x | x -> x | now() | true | pieces IN (1, 2) | Shop LIKE 'a%' |
paid IS NOT DISTINCT FROM true | extract(day FROM placed) | try_cast(Shop AS DATE) | json('{}')->'$.a'
"""
OPERANDS = [text.strip() for text in _OPERANDS.split(" |")]
KEYWORDS = ["select", "where", "group", "by", "all", "having", "filter", "create", "materialized", "view", "orders"]
CALLABLE = [*NAMES, *NAMES, *NAMES, *sorted(ALLOWED)]


def _name(token: str) -> bool:
    """Whether a token is a name or a number, and no keyword: SQL stays SQL where another stands there."""
    return token[0].isalnum() and token.lower() not in {*SYNTAX, *KEYWORDS}


@dataclass(frozen=True)
class Scissors:
    """Cuts and pastes a text's `tokens`, mostly where names and literals stand."""

    tokens: list[str]
    dice: random.Random

    def place(self, *, word: bool) -> int:
        """A token that is no space; a word: one that another expression may stand for. Mostly in the SELECT."""
        begins = [self.tokens.index(mark) for mark in ("SELECT", "FROM") if mark in self.tokens]
        first = self.dice.choice([0, *begins * 5])
        places = [at for at in range(first, len(self.tokens)) if self.tokens[at].strip()] or [0]
        words = [at for at in places if self.tokens[at][0] in "'_" or _name(self.tokens[at])]
        return self.dice.choice(words or places) if word else self.dice.choice(places)

    def operand(self) -> None:
        self.tokens[self.place(word=True)] = self.dice.choice(OPERANDS)

    def word(self) -> None:
        self.tokens[self.place(word=True)] = self.dice.choice(VOCABULARY)

    def call(self) -> None:
        at = self.place(word=True)
        more = "".join(f", {self.dice.choice(OPERANDS)}" for _ in range(self.dice.choice([0, 0, 1, 2])))
        self.tokens[at] = f"{self.dice.choice(CALLABLE)}({self.tokens[at]}{more})"

    def swap(self) -> None:
        at, other = self.place(word=True), self.place(word=True)
        self.tokens[at], self.tokens[other] = self.tokens[other], self.tokens[at]

    def gone(self) -> None:
        at = self.place(word=False)
        del self.tokens[at : at + self.dice.choice([1, 1, 2, 5])]

    def copy(self) -> None:
        at, other = self.place(word=False), self.place(word=False)
        self.tokens[at:at] = [" ", *self.tokens[other : other + self.dice.choice([1, 3, 10, 30])], " "]

    def put(self) -> None:
        at = self.place(word=False)
        self.tokens[at:at] = [" ", self.dice.choice(VOCABULARY), " "]

    def noise(self) -> None:
        at = self.place(word=False)
        self.tokens[at:at] = [self.dice.randbytes(4).decode("utf-8", "replace"), chr(self.dice.randrange(0xD800))]

    def deep(self) -> None:
        at = self.place(word=False)
        self.tokens[at:at] = [self.dice.choice(DEEP) * self.dice.choice([2, 40, 300, 3000])]

    def cut(self) -> None:
        del self.tokens[self.place(word=False) + 1 :]


_OFTEN = [Scissors.operand] * 8 + [Scissors.word, Scissors.call] * 3 + [Scissors.swap, Scissors.gone, Scissors.copy] * 2
MUTATIONS = [*_OFTEN, Scissors.put, Scissors.noise, Scissors.deep, Scissors.cut]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A view's text with a few of its tokens gone, doubled, moved or replaced; mostly such that it still is SQL."""
    tokens = TOKENS.findall(draw(st.sampled_from(WHOLE)))
    scissors = Scissors(tokens, random.Random(draw(st.integers(0, 2**64))))
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        if tokens:
            mutate(scissors)
    return "".join(tokens)


NOISE = st.text() | st.binary().map(lambda noise: noise.decode("latin-1"))
TEXT = st.integers(0, 19).flatmap(lambda number: mutated() if number else NOISE)


@settings(max_examples=TEXTS)
@given(TEXT)
@example("")
@example(";")
def test_no_text_raises_anything_but_its_own_error(text: str) -> None:
    try:
        for view in parse_views(text, "v.sql"):
            compile_for(view, CONTRACTS, BASES)
    except UserError as error:
        assert error.condition in (Condition.VIEW_INVALID, Condition.CONTRACT_UNKNOWN)
        assert re.fullmatch(r"v\.sql:\d+:\d+", error.where), error.where
