"""Fields that are called like words of SQL: refused with a hint where they are not quoted, served where they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seamline.cli.main import execute
from seamline.errors import Condition, UserError
from seamline.kernel import kernel
from seamline.operate.template import make_project
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import parse_views
from seamline.streaming.tasks import RECORDS

NAMES = ("limit", "order", "end", "from", "case", "group", "select", "desc", "all", "default", "left", "column")
FIELDS = "\n".join(f"      - {{name: {name}, logicalType: integer}}" for name in (*NAMES, "user", "likes"))
CONTRACT = f"""\
apiVersion: v3.1.0
kind: DataContract
id: posts
version: 1.0.0
status: active
schema:
  - name: posts
    properties:
      - {{name: at, logicalType: timestamp}}
{FIELDS}
customProperties:
  - {{property: seamline.eventTime, value: at}}
  - {{property: seamline.topic, value: posts}}
"""


def compiled(select: str) -> Definition:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS {select} GROUP BY ALL", "v.sql")
    return compile_view(view, parse_contract(CONTRACT, "posts.yaml"))


def refused(select: str) -> UserError:
    with pytest.raises(UserError) as caught:
        compiled(select)
    assert caught.value.condition is Condition.VIEW_INVALID
    return caught.value


PLACES = {
    "a key": 'SELECT "at"::DATE AS day, {} AS k, count(*) AS n FROM posts',
    "an argument": 'SELECT "at"::DATE AS day, max({}) AS k FROM posts',
    "an operand": 'SELECT "at"::DATE AS day, sum(likes + {} * 2) AS k FROM posts',
    "a condition": 'SELECT "at"::DATE AS day, count(*) AS n FROM posts WHERE {} > 1 AND likes > 2',
    "a filter": 'SELECT "at"::DATE AS day, count(*) FILTER (WHERE likes > 1 OR {} = 2) AS n FROM posts',
    "a branch": 'SELECT "at"::DATE AS day, sum(CASE WHEN likes > 1 THEN {} ELSE 0 END) AS n FROM posts',
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_reserved_name_without_quotes_is_told_with_its_place_and_a_hint(name: str, place: str) -> None:
    error = refused(PLACES[place].format(name))
    assert repr(name) in error.message
    assert error.hint == f'write "{name}"'
    column = PLACES[place].index("{}") + len("CREATE MATERIALIZED VIEW v AS ") + 1
    assert error.where == f"v.sql:1:{column}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_the_mend_is_enough(name: str, place: str) -> None:
    assert compiled(PLACES[place].format(f'"{name}"')).columns


def test_the_event_time_may_be_such_a_name() -> None:
    for select in ("time_bucket(INTERVAL '1 hour', at) AS hour", "at::DATE AS day", "date_trunc('day', at) AS day"):
        assert refused(f"SELECT {select}, count(*) AS n FROM posts").hint == 'write "at"'
    assert '\', "at") AS hour' in refused("SELECT likes, count(*) AS n FROM posts").hint


def test_several_are_told_together_and_legitimate_words_are_left_alone() -> None:
    select = "SELECT at::DATE AS day, sum(CASE WHEN likes > 1 THEN limit ELSE 0 END) AS n FROM posts WHERE user = 1"
    assert refused(select).hint == 'write "at" and "limit"'


@pytest.mark.parametrize(
    ("select", "got"),
    [
        ('SELECT "at"::DATE AS day, count(*) AS n FROM posts WHERE likse > 1', "likse"),
        ("SELECT \"at\"::DATE AS day, sum(CASE WHEN likes > 1 THEN 'x' END) AS n FROM posts", "sum() of VARCHAR"),
        ('SELECT "at"::DATE AS day, count(*) AS n FROM posts WHERE "at" > 1', "Cannot compare"),
        ('SELECT "at"::DATE AS day, count(*) AS n FROM posts WHERE and likes > 1', 'near "and"'),
        ('SELECT "at"::DATE AS day, count(*) AS n FROM posts LIMIT 3', "LIMIT is not part of a view"),
    ],
)
def test_another_mistake_is_told_as_it_is(select: str, got: str) -> None:
    assert got in refused(select).message


VIEW = """\
CREATE MATERIALIZED VIEW by_user AS
SELECT date_trunc('day', "at") AS day, "user", "order" AS place, sum("limit") AS total, max("end") AS "end",
       count(*) FILTER (WHERE "case" > 1) AS cases, last("desc") AS latest
FROM posts WHERE "from" > 0 GROUP BY ALL
"""


def test_a_view_of_such_fields_goes_all_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(tmp_path)
    for file in [*(tmp_path / "contracts").glob("*"), *(tmp_path / "views").glob("*")]:
        file.unlink()
    (tmp_path / "contracts/posts.yaml").write_text(CONTRACT)
    (tmp_path / "views/by_user.sql").write_text(VIEW)
    for command in (["check"], ["apply"], ["list"], ["show", "by_user"], ["explain", "by_user"], ["diff", "by_user"]):
        assert execute(["views", *command, "--project", str(tmp_path)]) == 0, command
        assert "by_user" in capsys.readouterr().out
    assert execute(["views", "show", "by_user", "--json", "--project", str(tmp_path)]) == 0
    columns = [column["name"] for column in json.loads(capsys.readouterr().out)["columns"]]
    assert columns == ["day", "user", "place", "total", "end", "cases", "latest"]


def test_a_view_of_such_fields_answers_as_its_own_select(tmp_path: Path) -> None:
    contract = parse_contract(CONTRACT, "posts.yaml")
    (view,) = parse_views(VIEW, "v.sql")
    definition = compile_view(view, contract)
    rows: list[dict[str, Any]] = [
        {"at": f"2024-05-0{n % 3 + 1}T0{n}:00:00Z", "user": n % 2, "likes": n, **dict.fromkeys(NAMES, n)}
        for n in range(9)
    ]
    now = datetime(2024, 6, 1, tzinfo=UTC)
    records = [
        {"source": "x", "partition": 0, "offset": n, "timestamp": now, "key": b"", "value": json.dumps(row).encode()}
        for n, row in enumerate(rows)
    ]
    events = kernel().run(decode_statement(contract), {"records": pa.Table.from_pylist(records, schema=RECORDS)})
    assert events["_reject"].null_count == len(rows)
    partials = [kernel().run(definition.partial, {"events": events.slice(n, 3)}) for n in (0, 3, 6)]
    found = kernel().run(definition.merge_and_finalise, {"partials": pa.concat_tables(partials)}).to_pylist()
    own = kernel().run(definition.select_over("events"), {"events": events}).to_pylist()
    assert sorted(found, key=str) == sorted(own, key=str)
    assert len(own) > 5
