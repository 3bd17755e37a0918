"""Several contracts in one view: what is read, what is refused and where, and that the answer is the SELECT's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamline.errors import Condition, UserError
from seamline.kernel import kernel
from seamline.schemas.catalogue import compile_record, record
from seamline.schemas.contracts.contract import Contract, event_schema, parse_contract
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import parse_views

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
schema:
  - name: {name}
    properties:
{fields}
customProperties:
  - {{property: seamline.eventTime, value: {time}}}
  - {{property: seamline.stream, value: {stream}}}
"""


def contract(name: str, time: str, fields: Mapping[str, str], stream: str = "main") -> Contract:
    lines = "\n".join(f"      - {{name: {field}, {kind}}}" for field, kind in {time: TIME, **fields}.items())
    return parse_contract(CONTRACT.format(name=name, time=time, fields=lines, stream=stream), f"{name}.yaml")


TEXT, WHOLE, NUMBER = "logicalType: string", "logicalType: integer", "logicalType: number"
TIME = "logicalType: timestamp, required: true"
TAGS = "logicalType: array, items: {logicalType: string}"

CONTRACTS = {
    one.name: one
    for one in (
        contract("likes", "liked_at", {"user_id": TEXT, "post": TEXT, "weight": WHOLE, "tags": TAGS}),
        contract("follows", "created", {"follower": TEXT, "whom": TEXT, "weight": NUMBER}),
        contract("posts", "written", {"author": TEXT, "post": TEXT, "tags": TAGS}),
        contract("elsewhere", "at", {"x": TEXT}, stream="other"),
    )
}

ACTIVITY = """SELECT time_bucket(INTERVAL '1 hour', at_time) AS hour, actor, kind, count(*) AS actions
FROM (SELECT liked_at AS at_time, user_id AS actor, 'like' AS kind FROM likes
      UNION ALL BY NAME
      SELECT created AS at_time, follower AS actor, 'follow' AS kind FROM follows WHERE follower <> whom) AS e
GROUP BY ALL"""

VIEWS = {
    "constants, other names, a condition in a branch": ACTIVITY,
    "the condition and HAVING after the union": """SELECT date_trunc('day', e.at_time) AS day, e.kind,
    count(DISTINCT e.actor) AS actors FROM (SELECT liked_at AS at_time, user_id AS actor, 'like' AS kind FROM likes
    UNION ALL BY NAME SELECT written AS at_time, author AS actor, 'post' AS kind FROM posts) AS e
    WHERE e.actor <> 'u1' GROUP BY ALL HAVING count(*) > 1""",
    "columns that a branch lacks, and types that differ": """SELECT time_bucket(INTERVAL '1 day', at_time) AS day,
    count(weight) AS weighed, sum(weight) AS weight, max(post) AS post FROM (SELECT liked_at AS at_time, * FROM likes
    UNION ALL BY NAME SELECT created AS at_time, weight FROM follows) AS e GROUP BY ALL""",
    "FROM first": """SELECT time_bucket(INTERVAL '1 day', coalesce(written, liked_at)) AS day, post, count(*) AS n
    FROM (FROM posts WHERE author <> 'u2' UNION ALL BY NAME FROM likes) GROUP BY ALL""",
    "three contracts, names in other cases": """SELECT time_bucket(INTERVAL '1 day', T) AS day, sum(n) AS n,
    count(*) FILTER (WHERE U = 'u1') AS of_u1 FROM (SELECT liked_at AS t, user_id AS u, 1 AS n FROM likes AS l
    UNION ALL BY NAME SELECT f.created AS T, lower(f.follower) AS U, 2.5 AS N FROM follows f
    UNION ALL BY NAME SELECT posts.written AS t, posts.author AS u, NULL AS n FROM posts) AS e GROUP BY ALL""",
    "first and last by time, then position": """SELECT time_bucket(INTERVAL '1 day', at_time) AS day,
    first(actor) AS first_one, last(actor) AS last_one, string_agg(kind, ',') AS kinds
    FROM (SELECT created AS at_time, follower AS actor, 'follow' AS kind FROM follows
    UNION ALL BY NAME SELECT *, liked_at AS at_time, user_id AS actor, 'like' AS kind FROM likes
    UNION ALL BY NAME SELECT written AS at_time, author AS actor FROM posts) AS e GROUP BY ALL""",
    "an element of an array": """SELECT time_bucket(INTERVAL '1 day', at_time) AS day, unnest(e.tags) AS tag,
    count(*) AS n, first(who) AS who FROM (SELECT liked_at AS at_time, tags, user_id AS who FROM likes
    UNION ALL BY NAME SELECT written AS at_time, tags, author AS who FROM posts) AS e WHERE who <> 'u2' GROUP BY ALL""",
    "expressions that fail": """SELECT time_bucket(INTERVAL '1 day', at_time) AS day, sum(number) AS number,
    count(*) AS n FROM (SELECT liked_at AS at_time, substr(user_id, 2)::TINYINT AS number FROM likes WHERE weight > 1
    UNION ALL BY NAME SELECT created AS at_time, weight AS number FROM follows) AS e GROUP BY ALL""",
}


def compiled(select: str, name: str = "v") -> Definition:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW {name} AS\n{select}", "views/v.sql")
    return compile_for(view, CONTRACTS)[0]


def events(of: Contract, rows: list[dict[str, Any]], first: int = 0) -> pa.Table:
    """Events of one contract as a task has them: with the positions where they were read."""
    kinds = {**event_schema(of), "_source": "VARCHAR", "_partition": "INTEGER", "_offset": "BIGINT"}
    empty = kernel().run("SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in kinds.items()))
    placed = [{**row, "_source": f"{of.name}@1", "_partition": 0, "_offset": first + n} for n, row in enumerate(rows)]
    return pa.Table.from_pylist(placed, schema=empty.schema)


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=repr)


_BEGIN = datetime(2024, 5, 1, tzinfo=UTC)
_TIMES = st.integers(0, 5).map(lambda hours: _BEGIN + timedelta(hours=9 * hours))
_WHO = st.none() | st.sampled_from(["u1", "u2", "u33"])
_TAGS = st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2)
EVENTS = st.fixed_dictionaries(
    {
        "likes": st.lists(
            st.fixed_dictionaries(
                {
                    "liked_at": _TIMES,
                    "user_id": _WHO,
                    "post": st.sampled_from(["p", "q"]),
                    "weight": st.integers(0, 9),
                    "tags": _TAGS,
                }
            ),
            max_size=6,
        ),
        "follows": st.lists(
            st.fixed_dictionaries(
                {"created": _TIMES, "follower": _WHO, "whom": _WHO, "weight": st.sampled_from([0.5, 2.0])}
            ),
            max_size=6,
        ),
        "posts": st.lists(
            st.fixed_dictionaries(
                {"written": _TIMES, "author": _WHO, "post": st.sampled_from(["p", "q"]), "tags": _TAGS}
            ),
            max_size=6,
        ),
    }
)


IN_QUICK = [name for name in VIEWS if name.startswith(("three contracts", "first and last"))]
EVERY_VIEW = [
    pytest.param(text, id=name, marks=[] if name in IN_QUICK else pytest.mark.thorough) for name, text in VIEWS.items()
]


@pytest.mark.parametrize("text", EVERY_VIEW)
@given(EVENTS, st.integers(0, 6))
def test_a_unions_answer_is_its_own_select_over_all_contracts_events(
    text: str, found: dict[str, list[dict[str, Any]]], cut: int
) -> None:
    """Partials of each contract, made in two parts, merged and finished."""
    definition = compiled(text)
    partials, whole = [], {}
    for name, statement in definition.partials.items():
        whole[name] = events(CONTRACTS[name], found[name])
        for part, first in ((found[name][:cut], 0), (found[name][cut:], cut)):
            partials.append(kernel().run(statement, {"events": events(CONTRACTS[name], part, first)}))
    assert len({str(one.schema) for one in partials}) == 1
    answer = kernel().run(definition.merge_and_finalise, {"partials": pa.concat_tables(partials)})
    own = definition.select_over({name: f"{name}_table" for name in whole})
    own_rows = rows_of(kernel().run(own, {f"{n}_table": t for n, t in whole.items()}))
    assert rows_of(answer) == own_rows


def test_events_of_one_time_are_put_in_order_by_each_contracts_id_wherever_they_lie() -> None:
    """A copy that lies elsewhere than the event that the other layer counted changes no answer."""

    def with_id(name: str, time: str, who: str) -> Contract:
        text = contract(name, time, {"key": TEXT, who: TEXT}).text.rstrip()
        return parse_contract(f"{text}\n  - {{property: seamline.eventId, value: key}}\n", f"{name}.yaml")

    keyed = {"likes": with_id("likes", "liked_at", "user_id"), "follows": with_id("follows", "created", "follower")}
    select = """SELECT time_bucket(INTERVAL '1 day', at_time) AS day, first(actor) AS first_one,
    last(actor) AS last_one, string_agg(actor, '') AS actors
    FROM (SELECT liked_at AS at_time, user_id AS actor FROM likes
    UNION ALL BY NAME SELECT created AS at_time, follower AS actor FROM follows) AS e GROUP BY ALL"""
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS\n{select}", "views/v.sql")
    definition = compile_for(view, keyed)[0]
    likes = [{"liked_at": _BEGIN, "key": key, "user_id": key.upper()} for key in "adb"]
    follows = [{"created": _BEGIN, "key": key, "follower": key.upper()} for key in "ce"]
    for turn in range(3):
        lying = {
            "likes": events(keyed["likes"], [*likes[turn:], *likes[:turn]]),
            "follows": events(keyed["follows"], follows),
        }
        partials = [kernel().run(sql, {"events": lying[name]}) for name, sql in definition.partials.items()]
        answer = kernel().run(definition.merge_and_finalise, {"partials": pa.concat_tables(partials)})
        assert answer.to_pylist() == [{"day": _BEGIN, "first_one": "A", "last_one": "E", "actors": "ABCDE"}]
        own = definition.select_over({name: f"{name}_t" for name in lying})
        assert (
            kernel().run(own, {f"{name}_t": table for name, table in lying.items()}).to_pylist() == answer.to_pylist()
        )


def test_the_columns_types_are_those_that_duckdb_gives_the_union() -> None:
    definition = compiled(VIEWS["columns that a branch lacks, and types that differ"])
    assert {column.name: column.sql_type for column in definition.columns}["weight"] == "DOUBLE"
    own = definition.select_over({"likes": "likes_t", "follows": "follows_t"})
    tables = {f"{name}_t": events(CONTRACTS[name], []) for name in ("likes", "follows")}
    assert kernel().describe(own, tables)["weight"] == "DOUBLE"


def test_an_expression_that_fails_in_a_branch_is_null_there() -> None:
    definition = compiled(VIEWS["expressions that fail"])
    row = {"liked_at": _BEGIN, "user_id": "u300", "post": "p", "weight": 2, "tags": None}
    partials = kernel().run(definition.partials["likes"], {"events": events(CONTRACTS["likes"], [row])})
    answer = kernel().run(definition.merge_and_finalise, {"partials": partials})
    assert answer.to_pylist() == [{"day": _BEGIN, "number": None, "n": 1}]


# --- identity --------------------------------------------------------------------------------------------


def test_the_same_union_in_other_words_is_the_same_definition() -> None:
    definition = compiled(ACTIVITY)
    head, branches, tail = re.split(r"(?<=FROM )\((.*)\)(?= AS e)", ACTIVITY, flags=re.DOTALL)
    first, second = re.split(r"\s+UNION ALL BY NAME\s+", branches)
    other = f"{head}({second} union all by  name\n{first.lower()}){tail} -- turned round"
    assert compiled(other).hash == definition.hash
    assert compiled(ACTIVITY.replace("'like'", "'likes'")).hash != definition.hash
    assert compiled(ACTIVITY.replace("<> whom", "= whom")).hash != definition.hash


def test_a_definition_is_another_one_once_any_of_its_contracts_decodes_otherwise() -> None:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS {ACTIVITY}", "v.sql")
    hashes = {compile_for(view, CONTRACTS)[0].hash}
    for name in ("likes", "follows"):
        text = CONTRACTS[name].text.replace("name: weight, ", "name: weight, required: true, ")
        hashes.add(compile_for(view, {**CONTRACTS, name: parse_contract(text, "")})[0].hash)
    assert len(hashes) == 3


def test_a_recorded_definition_is_compiled_again_from_all_its_contracts() -> None:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS {ACTIVITY}", "v.sql")
    definition, used = compile_for(view, CONTRACTS)
    assert [one.name for one in used] == ["follows", "likes"]
    again = compile_record(record(definition, used))
    assert (again.definition, again.contracts) == (definition, used)


def test_a_branch_carries_only_what_the_view_reads() -> None:
    """Other fields are neither read from raw nor compared where copies of an event disagree."""
    definition = compiled(VIEWS["FROM first"])
    assert "tags" not in definition.partials["posts"]
    assert "user_id" not in definition.partials["likes"]
    assert "_event_time" not in definition.partials["likes"]


# --- refused ---------------------------------------------------------------------------------------------

HEAD = "SELECT time_bucket(INTERVAL '1 day', t) AS day, count(*) AS n "
LIKES, FOLLOWS = "SELECT liked_at AS t FROM likes", "SELECT created AS t FROM follows"

REFUSED = [
    (f"FROM ({LIKES} UNION {FOLLOWS}) AS e GROUP BY ALL", "UNION SELECT", "look alike once"),
    (f"FROM ({LIKES} UNION BY NAME {FOLLOWS}) AS e GROUP BY ALL", "UNION BY", "look alike once"),
    (f"FROM ({LIKES} UNION ALL {FOLLOWS}) AS e GROUP BY ALL", "UNION ALL", "by their names"),
    (f"FROM ({LIKES} EXCEPT {FOLLOWS} UNION ALL BY NAME FROM posts) AS e GROUP BY ALL", "EXCEPT", "WHERE"),
    (f"FROM ({LIKES} UNION ALL BY NAME {LIKES}) AS e GROUP BY ALL", "likes UNION|likes[)]", "'likes' twice.*CASE"),
    (
        f'FROM ({LIKES} UNION ALL BY NAME SELECT "at" AS t FROM elsewhere) AS e GROUP BY ALL',
        "elsewhere",
        "'other'.*one s",
    ),
    (f"FROM ({LIKES} UNION ALL BY NAME ({FOLLOWS})) AS e GROUP BY ALL", "[(]SELECT created", "in parentheses"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT t FROM ({FOLLOWS})) AS e GROUP BY ALL", "", "a subquery"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS} JOIN posts USING (post)) AS e GROUP BY ALL", "JOIN", "a join"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS}, posts) AS e GROUP BY ALL", "", "join"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS}) AS e JOIN posts USING (post) GROUP BY ALL", "JOIN", "a join"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS} ORDER BY 1) AS e GROUP BY ALL", "ORDER BY", "ORDER BY"),
    (
        f"FROM ({LIKES} UNION ALL BY NAME SELECT DISTINCT created AS t FROM follows) GROUP BY ALL",
        "DISTINCT",
        "DISTINCT",
    ),
    (
        f"FROM ({LIKES} UNION ALL BY NAME SELECT created AS t FROM follows GROUP BY 1) GROUP BY ALL",
        "GROUP BY 1",
        "group o",
    ),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT max(created) AS t FROM follows) GROUP BY ALL", "max", "aggregate max"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT now() AS t FROM follows) GROUP BY ALL", "now", "same value"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT unnest(tags) AS t FROM posts) GROUP BY ALL", "unnest", "one value"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT made AS t FROM follows) GROUP BY ALL", "made", "unknown field 'made'"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT created FROM follows) GROUP BY ALL HAVING x > 1", "x > 1", "'x'"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT created + 1 FROM follows) GROUP BY ALL", "created [+]", "without a name"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT *, created AS whom FROM follows) GROUP BY ALL", "created", "twice"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT * EXCLUDE (whom) FROM follows) GROUP BY ALL", "[*]|whom", "columns"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT created AS _t FROM follows) GROUP BY ALL", "created", "kept for"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT follower + 1 AS t FROM follows) GROUP BY ALL", "", "VIEW_INVALID"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS} WHERE whom) AS e GROUP BY ALL", "whom", "BOOLEAN"),
    (f"FROM ({LIKES} UNION ALL BY NAME SELECT [created] AS t FROM follows) GROUP BY ALL", "", "VIEW_INVALID"),
    (f"FROM ({LIKES} UNION ALL BY NAME) AS e GROUP BY ALL", "", "empty branch"),
    (f"FROM ({LIKES} UNION ALL BY NAME VALUES (1)) AS e GROUP BY ALL", "", "VIEW_INVALID"),
    (f"FROM ({LIKES}) AS e GROUP BY ALL", "", "a subquery"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS}) AS e WHERE follower = 'x' GROUP BY ALL", "follower", "unknown field"),
    (f"FROM ({LIKES} UNION ALL BY NAME {FOLLOWS}) AS e WHERE _event_time = t GROUP BY ALL", "_event_time", "unknown"),
    (
        f"FROM likes GROUP BY ALL UNION ALL BY NAME {HEAD} FROM follows GROUP BY ALL",
        "UNION",
        r"would stand several times(.|\n)*FROM \(SELECT … FROM a UNION ALL BY NAME",
    ),
    ("FROM likes UNION ALL BY NAME FROM follows", "UNION", "would stand several times"),
]


@pytest.mark.parametrize(("rest", "at", "says"), REFUSED, ids=lambda value: str(value)[-40:])
def test_what_a_union_cannot_have_is_refused_at_its_place(rest: str, at: str, says: str) -> None:
    text = HEAD + rest
    with pytest.raises(UserError) as refused:
        compiled(text)
    assert refused.value.condition is Condition.VIEW_INVALID
    assert re.search(says, str(refused.value), re.DOTALL), refused.value
    places = [f"views/v.sql:2:{found.start() + 1}" for found in re.finditer(at, text)] if at else []
    assert not at or refused.value.where in places, (refused.value, places)
    assert refused.value.detail or refused.value.hint


def test_a_contract_that_there_is_not_is_refused_at_its_place() -> None:
    with pytest.raises(UserError) as refused:
        compiled(f"{HEAD}\nFROM ({LIKES}\nUNION ALL BY NAME SELECT x AS t FROM nowhere) GROUP BY ALL")
    assert refused.value.condition is Condition.CONTRACT_UNKNOWN
    assert refused.value.where == "views/v.sql:4:38"
    assert "likes" in refused.value.detail


@given(st.text(max_size=40), st.integers(0, 300), st.integers(0, 30))
def test_a_mutated_union_raises_nothing_but_its_own_errors(noise: str, at: int, cut: int) -> None:
    whole = f"CREATE MATERIALIZED VIEW v AS {ACTIVITY}"
    try:
        for view in parse_views(whole[:at] + noise + whole[at + cut :], "v.sql"):
            compile_for(view, CONTRACTS)
    except UserError as error:
        assert error.condition in (Condition.VIEW_INVALID, Condition.CONTRACT_UNKNOWN)


def test_the_statements_of_a_union_are_as_they_were(golden: Callable[[str, str], None]) -> None:
    definition = compiled(VIEWS["first and last by time, then position"])
    for name, statement in definition.partials.items():
        golden(f"views/union_of_{name}.sql", statement)
