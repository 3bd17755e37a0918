"""`seamline views check`, `explain`, `diff` and `show`: what is wrong, what a view costs, what a change needs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from algebra_laws import QUICK
from lakes import CONTRACT, DAY, VIEW, Bench, contract, order
from obstore.store import LocalStore
from places import ROOT

from seamline.cli.main import execute
from seamline.errors import UserError
from seamline.operate.template import make_project
from seamline.schemas.algebra import ALGEBRA, Aggregate
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.cost import Cost, cost, size_of
from seamline.schemas.views.text import parse_views

Said = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with the contract `orders` and the view `sales`; its lake is made by `Bench`."""
    make_project(tmp_path / "shop")
    (tmp_path / "shop/contracts/orders.yaml").write_text(CONTRACT.replace(" EXTRA", ""))
    (tmp_path / "shop/views/orders_by_hour.sql").unlink()
    (tmp_path / "shop/views/sales.sql").write_text(VIEW)
    return tmp_path / "shop"


@pytest.fixture
def said(shop: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """`said("views", "check", …)` runs a command in the project and gives its JSON; `code` is what it must end with."""

    def run(*words: str, code: int = 0) -> Any:
        assert execute([*words, "--project", str(shop), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def served(shop: Path, events: int = 0) -> Bench:
    """The project's lake with the view applied; with events, with one batch version too."""
    folder = shop / "lake"
    folder.mkdir(exist_ok=True)
    bench = Bench(folder, view=(shop / "views/sales.sql").read_text(), store=LocalStore(str(folder)))
    if events:
        bench.send(*[order(f"o{n}", DAY + timedelta(days=n % 2, hours=n % 3)) for n in range(events)])
        bench.both()
        bench.batch.refresh("sales")
    return bench


def rewrite(shop: Path, old: str, new: str) -> None:
    file = shop / "views/sales.sql"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# --- check -----------------------------------------------------------------------------------------------


def test_check_says_type_exactness_and_cost_of_every_column_and_makes_no_lake(shop: Path, said: Said) -> None:
    rewrite(shop, "VIEW sales", "VIEW sales (orders COMMENT 'how many') COMMENT 'what is sold'")
    found = said("views", "check")
    (view,) = found["views"]
    assert found["errors"] == []
    assert (view["view"], view["contracts"], view["comment"]) == ("sales", ["orders"], "what is sold")
    columns = {column["column"]: column for column in view["columns"]}
    assert columns["hour"]["aggregate"] == "(key)"
    assert columns["amount"]["type"] == "DECIMAL(38,0)"
    assert columns["weight"]["exactness"] == "exact"
    assert columns["ids"]["bound"]
    assert columns["orders"]["comment"] == "how many"
    assert view["cost"]["class"] == "sketch"
    assert not (shop / "lake").exists()


def test_check_names_every_error_of_every_file_and_the_views_that_are_right(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = "CREATE MATERIALIZED VIEW {} AS SELECT {} FROM {} GROUP BY ALL;\n"
    views = shop / "views"
    (views / "a.sql").write_text(
        one.format("a", "placed::DATE AS day, shp, count(*) AS n", "orders")
        + one.format("good", "placed::DATE AS day, shop, count(*) AS n", "orders")
        + one.format("b", "placed::DATE AS day, shop, count(*) AS n", "oders")
    )
    (views / "b.sql").write_text("CREATE TABLE x AS SELECT 1")
    (views / "c.sql").write_text(one.format("sales", "placed::DATE AS day, count(*) AS n", "orders"))
    (views / "d.sql").write_bytes(b"\xff\xfe")
    assert execute(["views", "check", "--project", str(shop)]) == 2
    told = capsys.readouterr()
    places = [line.split("] ")[1].split(": ")[0] for line in told.err.splitlines() if line.startswith("error: ")]
    assert places == [f"{views}/{at}" for at in ("a.sql:1:59", "a.sql:3:84", "b.sql:1:1", "d.sql:1:1", "sales.sql:1:1")]
    assert "did you mean 'shop'" in told.err
    assert "good of orders" in told.out
    assert "2 views right, 5 wrong" in told.out
    assert (
        execute(["views", "check", str(views / "b.sql"), str(views / "c.sql"), "--project", str(shop), "--json"]) == 2
    )
    found = json.loads(capsys.readouterr().out)
    assert [view["view"] for view in found["views"]] == ["sales"]
    assert [error["where"] for error in found["errors"]] == [f"{views}/b.sql:1:1"]


def test_check_counts_a_view_as_wrong_whose_base_is(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One error is said for both, and both are counted."""
    text = "CREATE MATERIALIZED VIEW {} AS SELECT placed::DATE AS day, summ(pieces) AS n FROM orders GROUP BY ALL;"
    (shop / "views" / "base.sql").write_text(text.format("base"))
    (shop / "views" / "over.sql").write_text(
        "CREATE MATERIALIZED VIEW over_base AS SELECT day, MEASURE(n) AS n FROM base GROUP BY ALL"
    )
    assert execute(["views", "check", "--project", str(shop)]) == 2
    told = capsys.readouterr()
    assert told.err.count("error: ") == 1
    assert "1 view right, 2 wrong" in told.out


@pytest.mark.parametrize("text", ["[kafka\n", '[kafka]\npartitions = "x"\n', "[kafca]\n"])
def test_check_is_not_content_beside_settings_that_are_wrong(
    shop: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "seamline.toml").write_text(text)
    assert execute(["views", "check", "--project", str(shop)]) == 2
    told = capsys.readouterr()
    assert "CONFIG_INVALID" in told.err
    assert "1 view right" in told.out


def test_check_refuses_a_path_that_does_not_exist(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["views", "check", str(shop / "veiws"), "--project", str(shop)]) == 2
    assert "veiws" in capsys.readouterr().err


def test_check_loads_no_spark_and_nothing_that_only_object_stores_need() -> None:
    script = (
        "import sys; from seamline.cli.main import execute\n"
        "assert execute(['views', 'check', '--json', '--project', sys.argv[1]]) == 0\n"
        "print(sorted({'pyspark', 'pandas', 'deltalake', 'fastapi', 'kafka'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "examples/github")],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    assert len(json.loads(done.stdout)["views"]) >= 3
    assert done.stderr.strip() == "[]"


# --- explain ---------------------------------------------------------------------------------------------


def test_explain_names_what_is_stored_what_it_makes_and_what_it_measures(shop: Path, said: Said) -> None:
    bench = served(shop, events=30)
    found = said("views", "explain", "sales")
    stored = {column["column"]: column for column in found["stored"]}
    assert found["keys"] == ["hour", "shop"]
    assert (stored["hour"]["kind"], stored["hour"]["at_most"]) == ("key", 8)
    assert stored["shop"]["at_most"] is None
    assert (stored["ids"]["kind"], stored["ids"]["at_most"]) == ("sketch", 4096 * 8)
    assert stored["weight__count"]["makes"] == ["weight"]
    assert set(found["statements"]) == {"partial", "merge", "finalise"}
    files = [file for of in bench.versions().files(found["measured"]["version"]).values() for file in of]
    assert found["measured"]["rows"] == sum(file.rows for file in files) == 6
    assert found["measured"]["bytes"] == sum((shop / "lake" / file.path).stat().st_size for file in files)


def test_explain_in_words_says_the_same(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["views", "explain", "sales", "--project", str(shop)]) == 0
    told = capsys.readouterr().out
    assert "A group is one of each of: hour (TIMESTAMP WITH TIME ZONE), shop (VARCHAR)" in told
    assert "sketch ids: up to 32 KB (4,096 of 8 B)" in told
    assert "nothing yet" in told
    assert "-- merge: " in told


def cost_of(select: str, having: str = "") -> Cost:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW v AS SELECT {select} FROM orders GROUP BY ALL{having}", "v.sql")
    return cost(compile_view(view, contract()))


def test_the_cost_of_a_group_is_that_of_its_columns() -> None:
    plain = cost_of(
        "time_bucket(INTERVAL '1 hour', placed) AS hour, count(*) AS n, sum(amount) AS a, bool_or(amount > 1) AS b"
    )
    assert (plain.kind, plain.fixed, plain.words) == ("plain", 8 + 8 + 16 + 1 + 8, "plain: 41 bytes a group")
    assert cost_of("placed::DATE AS day, shop, min(id) AS m").words == "plain: 12 bytes a group and the text of shop, m"
    floats = cost_of("placed::DATE AS day, sum(weight) AS w")
    assert (floats.kind, floats.fixed) == ("plain", 4 + 3 * 16 + 8)
    assert floats.words == "plain: 60 bytes a group; rare w__rest: up to 640 B (40 of 16 B)"
    having = cost_of("placed::DATE AS day, shop, count(*) AS n", " HAVING sum(amount) > 1")
    assert [column.makes for column in having.columns] == [("day",), ("shop",), ("n",), ("(HAVING)",), ("(audit)",)]


ARGUMENTS = ("amount", "weight", "shop", "amount > 1", "amount, weight", "amount, weight, shop")


@pytest.mark.parametrize("entry", ALGEBRA.values(), ids=ALGEBRA)
def test_every_list_that_an_aggregate_stores_is_bounded(entry: Aggregate) -> None:
    name, _, distinct = entry.name.partition(" ")
    found = []
    for arguments, constants in itertools.product(ARGUMENTS, entry.tried):
        call = f"{name}({distinct} {', '.join([arguments, *constants])})"
        with contextlib.suppress(UserError):
            found.append(cost_of(f"placed::DATE AS day, {call} AS x, count(*) AS n"))
        if QUICK and found:
            break
    assert found
    for one in found:
        lists = [column.size for column in one.columns if column.size.element is not None]
        assert all(size.most for size in lists)
        often = [column for column in one.columns if column.size.element is not None and column.kind != "rare"]
        assert (one.kind == "plain") == (not often)


@pytest.mark.parametrize(
    ("sql_type", "most", "words", "limit"),
    [
        ("BOOLEAN", 0, "1 B", 1),
        ("DECIMAL(18,2)", 0, "8 B", 8),
        ("DECIMAL(38,0)", 0, "16 B", 16),
        ("VARCHAR", 0, "its text", None),
        ("BIGINT[]", 1000, "up to 7.8 KB (1,000 of 8 B)", 8000),
        ("BIGINT[]", 0, "(8 B) for each value kept", None),
        ('STRUCT(k VARCHAR, "a b" DECIMAL(9,2))[]', 11, "up to 11 of (4 B + its text)", None),
        ("VARCHAR[]", 5, "up to 5 texts", None),
        ("STRUCT(a DOUBLE, c DOUBLE[], w BIGINT[])", 100, "8 B + up to 1.6 KB (100 of 16 B)", 1608),
        ("STRUCT(p STRUCT(x FLOAT, y DATE), q TIMESTAMP WITH TIME ZONE)", 0, "16 B", 16),
    ],
)
def test_sizes_are_reckoned_from_types(sql_type: str, most: int, words: str, limit: int | None) -> None:
    assert (str(size_of(sql_type, most)), size_of(sql_type, most).limit) == (words, limit)


# --- diff ------------------------------------------------------------------------------------------------


def changes(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(change["what"], change["name"]) for change in found["changes"]}


def test_a_view_that_is_served_as_it_is_needs_nothing(shop: Path, said: Said) -> None:
    assert said("views", "diff", "sales")[0]["needs"] == "apply"
    served(shop)
    rewrite(shop, "SELECT time_bucket", "-- by the hour\nselect  TIME_BUCKET")
    (found,) = said("views", "diff", "sales")
    assert (found["needs"], found["changes"]) == ("nothing", [])


def test_properties_and_comments_need_to_be_applied_and_no_rebuild(shop: Path, said: Said) -> None:
    served(shop)
    new = "VIEW sales (shop COMMENT 'where') COMMENT 'sold' TBLPROPERTIES ('owner' = 'me', 'serving.sort' = 'shop')"
    rewrite(shop, "VIEW sales", new)
    (found,) = said("views", "diff")
    assert found["needs"] == "apply"
    assert changes(found) == {("comment", ""), ("comment", "shop"), ("property", "owner"), ("property", "serving.sort")}
    assert said("views", "apply")[0]["change"] == "described"
    assert said("views", "diff")[0]["needs"] == "nothing"
    shown = said("views", "show", "sales")
    assert (shown["comment"], shown["properties"]["owner"], shown["state"]) == ("sold", "me", "served")


DEEP = [
    ("sum(amount) AS amount", "sum(amount + 1) AS amount", ("expression", "amount")),
    ("sum(amount) AS amount", "sum(amount) AS total", ("column renamed", "total")),
    ("sum(amount) AS amount", "sum(weight) AS amount", ("type", "amount")),
    (", max(placed) AS latest", "", ("column removed", "latest")),
    (", max(placed) AS latest", ", max(placed) AS latest, min(placed) AS first", ("column added", "first")),
    ("FROM orders", "FROM orders WHERE amount > 1", ("WHERE", "")),
    ("GROUP BY ALL", "GROUP BY ALL HAVING count(*) > 1", ("HAVING", "")),
    ("hour, shop, count(*) AS orders", "hour, count(*) AS orders, shop", ("order of columns", "")),
]


@pytest.mark.parametrize(("old", "new", "change"), DEEP, ids=[f"{c[0]} {c[1]}".strip() for _, _, c in DEEP])
def test_another_definition_needs_a_rebuild_and_names_what_changed(
    shop: Path, said: Said, old: str, new: str, change: tuple[str, str]
) -> None:
    served(shop)
    rewrite(shop, old, new)
    (found,) = said("views", "diff", "sales")
    assert found["needs"] == "rebuild"
    assert change in changes(found)
    assert found["served"] != found["definition"]


def test_what_a_rebuild_has_to_read_is_said_and_what_is_built_already_needs_no_more(
    shop: Path, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    served(shop, events=30)
    rewrite(shop, "FROM orders", "FROM orders WHERE amount > 1")
    (found,) = said("views", "diff", "sales")
    size = sum(file.stat().st_size for file in (shop / "lake/raw").rglob("_event_date=*/*.parquet"))
    assert found["raw"] == {"dates": 2, "bytes": size}
    assert execute(["views", "diff", "sales", "--project", str(shop)]) == 0
    assert "2 event dates" in capsys.readouterr().out
    said("views", "apply")
    (found,) = said("views", "diff", "sales")
    assert found["needs"] == "rebuild"
    assert found["words"].startswith("nothing more")


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("{name: weight, logicalType: number}", "{name: weight, logicalType: integer}", ("contract's type", "weight")),
        (
            "{name: id, logicalType: string}",
            "{name: id, logicalType: string, required: true}",
            ("contract's required", "id"),
        ),
        ("  - {property: seamline.eventId, value: id}\n", "", ("contract's event id", "orders")),
    ],
)
def test_a_changed_contract_is_said_to_have_changed(
    shop: Path, said: Said, old: str, new: str, change: tuple[str, str]
) -> None:
    served(shop)
    file = shop / "contracts/orders.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    (found,) = said("views", "diff", "sales")
    assert found["needs"] == "rebuild"
    assert change in changes(found)


def test_a_file_is_compared_and_a_view_under_another_name_is_recognised(shop: Path, said: Said, tmp_path: Path) -> None:
    served(shop)
    draft = tmp_path / "draft.sql"
    draft.write_text(VIEW.replace("VIEW sales", "VIEW turnover") + ";\n" + VIEW.replace("sum(amount)", "max(amount)"))
    turnover, sales = said("views", "diff", str(draft))
    assert (turnover["view"], turnover["needs"], changes(turnover)) == ("turnover", "another name", {("name", "")})
    assert (sales["view"], sales["needs"]) == ("sales", "rebuild")


def test_a_view_that_is_served_but_no_longer_written_is_told(shop: Path, said: Said) -> None:
    served(shop)
    (shop / "views/sales.sql").unlink()
    (found,) = said("views", "diff")
    assert (found["definition"], found["needs"]) == (None, "nothing")
    assert "drop" in found["words"]


@pytest.mark.parametrize("command", ["show", "explain", "diff"])
def test_a_view_that_does_not_exist_is_answered_with_the_nearest_name(
    shop: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert execute(["views", command, "slaes", "--project", str(shop)]) == 2
    told = capsys.readouterr().err
    assert "[VIEW_UNKNOWN]" in told
    assert "did you mean 'sales'?" in told


# --- show ------------------------------------------------------------------------------------------------


def test_show_tells_comments_properties_and_cost(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = "VIEW sales (shop COMMENT 'where') COMMENT 'what is sold' TBLPROPERTIES ('owner' = 'me', 'tags' = 'a, b')"
    rewrite(shop, "VIEW sales", new)
    assert execute(["views", "show", "sales", "--project", str(shop)]) == 0
    told = capsys.readouterr().out
    lines = [line.split(maxsplit=1) for line in told.splitlines() if line]
    assert ["comment", "what is sold"] in lines
    assert ["owner", "me"] in lines
    assert ["tags", "a, b"] in lines
    assert any(line[0] == "cost" and "bytes a group" in line[1] for line in lines if len(line) > 1)
    assert any(line[0] == "shop" and line[1].endswith("where") for line in lines if len(line) > 1)


def test_list_finds_views_by_tag_and_says_what_is_not_applied_yet(shop: Path, said: Said) -> None:
    served(shop)
    (shop / "views/other.sql").write_text(VIEW.replace("VIEW sales", "VIEW other TBLPROPERTIES ('tags' = 'a, money')"))
    assert [row["view"] for row in said("views", "list", "--tag", "money")] == ["other"]
    assert said("views", "list", "--tag", "mon") == []
    assert {row["view"]: row["state"] for row in said("views", "list")} == {"sales": "served", "other": "not applied"}
    rewrite(shop, "VIEW sales", "VIEW sales COMMENT 'sold' TBLPROPERTIES ('tags' = 'money')")
    states = {row["view"]: row["state"] for row in said("views", "list", "--tag", "money")}
    assert states == {"sales": "served, texts not applied", "other": "not applied"}
    (shop / "views/other.sql").unlink()
    said("views", "apply")
    (shop / "views/sales.sql").unlink()
    (row,) = said("views", "list", "--tag", "money")
    assert (row["view"], row["state"]) == ("sales", "served, not in the project")
