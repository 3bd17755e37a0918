"""`seamline tokens`: what is printed, once, and what scripts read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seamline.cli.main import execute
from seamline.config import load_settings
from seamline.serve_cli.main import app as serve_app
from seamline.serving.access.authentication import Access
from seamline.serving.access.store import tokens_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "seamline.toml").write_text("")
    return tmp_path


class Ran:
    """One command's words and exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.code = execute(["tokens", *words])
        self.out, self.err = capsys.readouterr()


def test_a_tokens_life(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ran(*words: str) -> Ran:
        return Ran(capsys, *words, "--project", str(project))

    assert "no token was made" in ran("list").out
    made = ran("create", "grafana", "--views", "Sales, shops", "--expires", "30d")
    text = made.out.strip()
    access = Access(tokens_of(project, load_settings(project)))
    assert access.caller(text).views == {"sales", "shops"}
    assert text not in made.err
    rotated = json.loads(ran("rotate", "grafana", "--grace", "12h", "--json").out)
    assert access.caller(rotated["token"]) == access.caller(text)
    assert json.loads(ran("create", "notebook", "--all", "--operate", "--json").out)["views"] is None
    (grafana, notebook) = json.loads(ran("list", "--json").out)
    assert (grafana["name"], grafana["state"], grafana["views"]) == ("grafana", "valid", ["sales", "shops"])
    assert grafana["former_until"] is not None
    assert notebook["operate"] is True
    assert "revoked" in ran("revoke", "grafana").out
    listed = ran("list").out
    assert text not in listed
    assert rotated["token"] not in listed
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [["grafana", "revoked"], ["notebook", "valid"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "x"), "--views VIEW,... or --all"),
        (("create", "x", "--views", " , "), "--views VIEW,... or --all"),
        (("create", "x", "--views", "a", "--all"), "--views and --all"),
        (("create", "x", "--all", "--expires", "soon"), "--expires 'soon'"),
        (("create", "local", "--all"), "cannot be a token's name"),
        (("rotate", "x", "--grace", "-1d"), "--grace"),
        (("revoke", "x"), "no token is named 'x'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    ran = Ran(capsys, *words, "--project", str(project))
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert not (project / ".seamline" / "tokens.json").exists()


def test_a_view_that_no_file_makes_is_warned_of(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "views").mkdir()
    (project / "views" / "sales.sql").write_text("CREATE MATERIALIZED VIEW sales AS SELECT count(*) AS n FROM orders")
    made = Ran(capsys, "create", "x", "--views", "sales,sale", "--project", str(project))
    assert made.code == 0
    assert "warning: no file of this project makes a view sale\n" in made.err


def test_a_machine_that_serves_alone_has_the_command_too() -> None:
    assert "tokens" in {group.name for group in (one.typer_instance.info for one in serve_app.registered_groups)}
