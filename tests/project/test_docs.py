"""The documents: links lead somewhere, the commands that are shown exist, and the tour's safe steps run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from commands import parse
from places import ROOT

from seamline.cli.main import app
from seamline.entries import Entry
from seamline.errors import Condition, ConflictError, SeamlineError, TerminalError, TransientError, UserError

PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if page.name != "CHANGELOG.md"
)
BLOCK = re.compile(r"(?:<!-- (?P<mark>\w+) -->\n)?```(?:sh|console|bash)\n(?P<text>.*?)```", re.DOTALL)


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def shown_commands(text: str) -> list[str]:
    """The lines of shell blocks that call seamline, continued lines joined."""
    lines = "\n".join(block["text"] for block in BLOCK.finditer(text)).replace("\\\n", " ").splitlines()
    found = (re.search(r"(?:^|\s)(seamline\s.+)$", line.split(" #")[0]) for line in lines)
    return [match[1] for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in {slug(h) for h in re.findall(r"^#+ (.*)$", file.read_text(), re.M)}, f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_can_be_given(page: Path) -> None:
    for command in shown_commands(page.read_text()):
        for single in re.split(r" (?:&&|\|\|) ", command):
            words = shlex.split(single)
            if words[0] == "seamline":
                parse(app, words[1:])


def test_the_safe_steps_of_the_tour_run(tmp_path: Path) -> None:
    steps = [b["text"] for b in BLOCK.finditer((ROOT / "README.md").read_text()) if b["mark"] == "run"]
    assert len(steps) >= 3
    script = "set -e\nseamline() { " + shlex.quote(sys.executable) + ' -m seamline "$@"; }\n' + "".join(steps)
    env = {key: value for key, value in os.environ.items() if not key.startswith("SEAMLINE_PROJECT")}
    options: dict[str, Any] = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(["sh", "-c", script], check=False, **options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shop" / "orders.jsonl").read_text().count("\n") == 5
    assert "placed_at" in done.stdout


def test_the_tours_view_is_the_one_that_init_makes(tmp_path: Path) -> None:
    shown = re.search(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    template = ROOT / "src/seamline/operate/templates/project/views/orders_by_hour.sql"
    assert shown is not None
    assert shown[1] in template.read_text()


def test_the_exit_codes_are_documented_as_they_are() -> None:
    codes = set(re.findall(r"^\| (\d+) \|", (ROOT / "docs/cli.md").read_text(), re.M))
    kinds = (UserError, TerminalError, ConflictError, TransientError)
    assert codes == {"0", "70", "130", *(str(kind.exit_code) for kind in kinds)}


def test_every_condition_that_the_documents_name_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"\[([A-Z]+_[A-Z_]+)\]", page.read_text()):
            assert name in Condition.__members__, f"{page}: {name}"


def runbooks() -> dict[str, str]:
    """Their text by the name of what they are for."""
    return {page.stem: page.read_text() for page in (ROOT / "docs/runbooks").glob("*.md") if page.stem != "README"}


def alerts() -> dict[str, Any]:
    """The rules that call somebody, by name."""
    said = yaml.safe_load((ROOT / "deploy/observability/rules/alerts.yml").read_text())
    return {rule["alert"]: rule for group in said["groups"] for rule in group["rules"]}


def test_every_condition_and_every_alert_has_its_runbook_and_is_listed() -> None:
    wanted = {*map(str, Condition), *alerts()}
    assert runbooks().keys() == wanted, "docs/runbooks/NAME.md: what it means, three things to look at, what to do"
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \|", (ROOT / "docs/runbooks/README.md").read_text(), re.M)
    assert sorted(listed) == sorted(wanted)
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert SeamlineError(Condition.SEAM_HOLE, "").runbook == "docs/runbooks/SEAM_HOLE.md"


@pytest.mark.parametrize("name", sorted(runbooks()))
def test_a_runbook_says_what_it_means_three_things_to_look_at_and_what_to_do(name: str) -> None:
    text = runbooks()[name]
    lines = (
        rf"# {name}",
        r"\*\*What it means\.\*\* .+",
        r"\*\*Look at\*\*",
        r"1\. .+\n2\. .+\n3\. .+",
        r"\*\*Do\.\*\* .+",
    )
    assert re.fullmatch("\n\n".join(lines) + "\n", text)
    for command in re.findall(r"`seamline ([^`]+)`", text):
        parse(app, shlex.split(command))


def test_every_decision_is_listed_and_numbered_once() -> None:
    folder = ROOT / "docs" / "adr"
    files = sorted(path.name for path in folder.glob("0*.md"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    listed = re.findall(r"\]\((0[^)]+)\)", (folder / "README.md").read_text())
    assert listed == files


def test_the_sample_data_says_where_it_comes_from() -> None:
    text = (ROOT / "examples/github/README.md").read_text()
    for words in ("https://www.gharchive.org", "creativecommons.org/licenses/by/4.0", "pseudonymised"):
        assert words in text


def test_every_name_that_stands_in_several_rooms_is_explained() -> None:
    places: dict[str, set[Path]] = {}
    for folder, _, files in os.walk(ROOT / "src/seamline", followlinks=True):
        if "__init__.py" in files:
            here = Path(folder)
            for name in (file.removesuffix(".py") for file in files if file.endswith(".py") and file[0] != "_"):
                places.setdefault(name, set()).add(here)
            places.setdefault(here.name, set()).add(here.parent)
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| name | what it is")[2].partition("\n## ")[0]
    explained = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row[1:].partition("|")[0])]
    assert sorted(explained) == sorted(name for name, rooms in places.items() if len(rooms) > 1)


def test_every_kind_of_entry_is_named_at_its_log() -> None:
    rows = re.findall(r"^\| `(\w+)/<\w+>` \|(.*)\|$", (ROOT / "docs" / "ledger.md").read_text(), re.M)
    said = {(log, kind) for log, text in rows for kind in re.findall(r"`(\w+)`[:;]", text)}
    union, _ = get_args(Entry)
    kinds = {(one.__module__.rpartition(".")[2], one.model_fields["kind"].default) for one in get_args(union)}
    shared = {("archive", "claim"), ("speed", "claim"), ("views", "withdrawn")}
    assert said == kinds - {("base", "claim")} | shared
