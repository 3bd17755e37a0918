"""`seamline catalog`: products with owners, promises, columns and lineage; and a promise that is missed is told."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from lakes import CONTRACT, VIEW, orders, project

from seamline.cli.main import execute
from seamline.errors import Condition, UserError
from seamline.frontier import Frontier
from seamline.operate.needs import needs
from seamline.operate.products import kept, products
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.contracts.promises import Promise, promises_in, promises_of, strictest
from seamline.schemas.project import Project, load_project
from seamline.schemas.service_levels import ServiceLevel
from seamline.serving.status import Status, StreamStatus

EVIL = '<script src="https://x.example/a.js">alert(1)</script> & "quoted" | *marked*'
SLA = """\
slaProperties:
  - {property: latency, value: 5, unit: m}
  - {property: completeness, value: 99.5, unit: percent}
  - {property: retention, value: 3, unit: y}
"""
DERIVED = "CREATE MATERIALIZED VIEW by_shop AS SELECT hour, MEASURE(orders) AS orders FROM sales GROUP BY hour"


def contract(more: str = SLA) -> Contract:
    return parse_contract(CONTRACT.replace(" EXTRA", "") + more, "orders.yaml")


def made(folder: Path, properties: str = "", more: str = SLA) -> Project:
    """The bench's project with service levels, and a view over its view."""
    project(folder)
    (folder / "contracts/orders.yaml").write_text(CONTRACT.replace(" EXTRA", "") + more)
    header = f"VIEW sales {properties} AS" if properties else "VIEW sales AS"
    (folder / "views/sales.sql").write_text(VIEW.replace("VIEW sales AS", header))
    (folder / "views/by_shop.sql").write_text(DERIVED)
    return load_project(folder)


def by_name(found: Project) -> dict[str, Any]:
    return {f"{one.kind} {one.name}": one for one in products(found)}


def test_odcs_says_how_fresh_and_how_complete_and_the_rest_is_left_alone() -> None:
    assert promises_of(contract()) == (
        Promise("freshness", 300.0, "5 minutes", "contract orders"),
        Promise("completeness", 0.995, "99.5%", "contract orders"),
    )
    for entry, seconds in (("1, unit: d", 86400), ("90, unit: sec", 90), ("0.5, unit: hours", 1800), ("2, unit: s", 2)):
        (one,) = promises_of(contract(f"slaProperties:\n  - {{property: freshness, value: {entry}}}\n"))
        assert one.limit == seconds
    assert promises_of(contract("")) == ()


@pytest.mark.parametrize(
    "entry",
    ["latency, value: 0, unit: m", "latency, value: soon, unit: m", "latency, value: 5, unit: fortnights",
     "latency, value: 5", "completeness, value: 101, unit: percent", "completeness, value: 0.99",
     "completeness, value: most, unit: percent"],
)  # fmt: skip
def test_a_service_level_that_cannot_be_read_is_refused_at_its_line(entry: str) -> None:
    with pytest.raises(UserError) as refused:
        promises_of(contract(f"slaProperties:\n  - {{property: {entry}}}\n"))
    assert refused.value.condition is Condition.CONTRACT_INVALID
    assert refused.value.where.split(":")[1] == str(CONTRACT.count("\n") + 2)


def test_a_view_promises_what_it_says_and_else_the_strictest_of_its_contracts(tmp_path: Path) -> None:
    own = promises_in("v", {"sla.freshness": "2 minutes", "sla.completeness": "100%"})
    assert [(one.kind, one.limit) for one in own] == [("freshness", 120.0), ("completeness", 1.0)]
    loose, tight = Promise("freshness", 60, "a", "x"), Promise("freshness", 10, "b", "y")
    low, high = Promise("completeness", 0.5, "c", "x"), Promise("completeness", 0.9, "d", "y")
    assert strictest([loose, tight, high, low]) == strictest([low, high, tight, loose]) == (high, tight)

    found = by_name(made(tmp_path, "TBLPROPERTIES ('owner' = 'ann', 'sla.freshness' = '1 hour')"))
    assert [(p.kind, p.said, p.by) for p in found["view sales"].promises] == [
        ("completeness", "99.5%", "contract orders"), ("freshness", "1 hour", "view sales"),
    ]  # fmt: skip
    assert found["view sales"].owner == "ann"


def test_lineage_leads_from_the_topic_to_the_last_view_and_columns_say_how_exact_they_are(tmp_path: Path) -> None:
    found = by_name(made(tmp_path))
    assert found["contract orders"].made_of == ("topic orders",)
    assert found["view sales"].made_of == ("contract orders",)
    assert found["view by_shop"].made_of == ("view sales",)
    columns = {column.name: column for column in found["view sales"].columns}
    assert columns["orders"].exactness == "exact"
    assert columns["ids"].exactness != "exact"
    assert columns["ids"].bound


def test_a_promise_that_is_missed_is_told_by_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = project(tmp_path)
    made_of = CONTRACT.replace(" EXTRA", "") + SLA
    (tmp_path / "contracts/orders.yaml").write_text(made_of)
    bench.send(*orders(199), b"{}")
    bench.both()
    assert execute(["status", "--json", "--project", str(tmp_path)]) == 0
    assert not [need for need in json.loads(capsys.readouterr().out)["attention"] if "promises" in need["found"]]
    bench.send(b"{}")
    bench.both()
    assert execute(["status", "--json", "--project", str(tmp_path)]) == 0
    said = {n["about"]: n for n in json.loads(capsys.readouterr().out)["attention"] if "promises" in n["found"]}
    assert set(said) == {"contract orders", "view sales"}
    assert said["view sales"]["found"] == (
        "promises that 99.5% of its records are valid (contract orders says it), and 99.00% are"
    )
    assert said["view sales"]["fault"]


def test_fresh_is_how_old_the_newest_record_is_while_others_wait(tmp_path: Path) -> None:
    found = products(made(tmp_path))

    def of(lag: int | None, seconds: float) -> dict[str, ServiceLevel]:
        stream = StreamStatus(
            name="main", frontier=Frontier(), last_epoch=1, committed=None, newest=None, counts={},
            archived=Frontier(), archive_counts={}, lag_records=lag, lag_seconds=seconds, archive_lag_records=0,
            writers={},
        )  # fmt: skip
        return {k.product: k for k in kept(found, Status({"main": stream}, {})) if k.promise.kind == "freshness"}

    assert of(0, 9000.0)["view sales"].found == 0.0
    assert not of(0, 9000.0)["view sales"].missed
    assert not of(5000, 299.0)["view sales"].missed
    late = of(5000, 301.0)
    assert {product for product, one in late.items() if one.missed} == {"contract orders", "view sales", "view by_shop"}
    assert of(None, 9000.0)["view sales"].found is None
    (first, *_) = needs(Status({}, {}), (), (), {}, 1, [late["view sales"]])
    assert first.found == "promises to be fresh within 5 minutes (contract orders says it), and is behind by 5 min"


class Page(HTMLParser):
    """What a page holds: tags, text, where links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.links |= {str(given[name]) for name in ("href", "src") if name in given}
        self.ids |= {str(given["id"])} if "id" in given else set()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_holds_text_alone_and_needs_nothing_besides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, f"COMMENT '{EVIL}'", f"description: {{purpose: {json.dumps(EVIL)}}}\n")
    out = tmp_path / "catalog.html"
    assert execute(["catalog", "--project", str(tmp_path), "--format", "html", "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert page.text.count(EVIL) == 2
    assert "script" not in page.tags
    assert page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    capsys.readouterr()
    assert execute(["catalog", "--project", str(tmp_path), "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert "<script" not in text.replace("\\<script", "")
    assert all(line.replace("\\|", "").count("|") in (0, 5) for line in text.splitlines())


def test_json_and_table_tell_of_every_product(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path)
    assert execute(["catalog", "--project", str(tmp_path), "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(found) == {"orders", "sales", "by_shop"}
    assert found["sales"]["sla"][0] == {
        "kind": "completeness", "limit": 0.995, "said": "99.5%", "by": "contract orders", "found": None,
        "missed": False,
    }  # fmt: skip
    assert execute(["catalog", "--project", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert max(map(len, table.splitlines())) <= 80
    assert table.count("not known") == 6
