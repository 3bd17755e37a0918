"""The command line: help with an example everywhere, one message an error, exit codes, and nothing half applied."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import leaves, parse

from seamline.cli import main as boundary
from seamline.cli.lazy import LazyGroup
from seamline.cli.main import app, execute
from seamline.console import plain_table
from seamline.errors import Condition, ConflictError, SeamlineError, TerminalError, TransientError, UserError
from seamline.operate.template import make_project
from seamline.wording import duration

COMMANDS = list(leaves(app))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_project(tmp_path / "shop")
    return tmp_path / "shop"


def ledger(folder: Path) -> list[str]:
    """Every entry that stands in the project's lake."""
    return sorted(str(path) for path in (folder / "lake").rglob("*.json"))


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "seamline" for words, _ in COMMANDS])
def test_every_command_has_help_with_an_example_that_can_be_given(words: tuple[str, ...], command: Any) -> None:
    assert command.help
    examples = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("seamline ")]
    assert examples
    for example in examples:
        for single in example.split(" && "):
            parse(app, shlex.split(single)[1:])
            assert example.startswith(" ".join(("seamline", *words)))


@pytest.mark.parametrize("width", [80, 400])
def test_a_list_of_commands_says_what_their_own_help_says(width: int) -> None:
    """A list is written before the commands are imported: its lines stand apart from them."""
    lazy = [command for _, command in COMMANDS if isinstance(command, LazyGroup)]
    assert lazy
    for listed in (type(group)(name=group.name) for group in lazy):
        for name in listed.parts:
            line = listed.get_command(typer.Context(listed), name)
            assert line is not None
            own = listed.load(name)
            assert line is not own
            assert line.get_short_help_str(width) == own.get_short_help_str(width)
            assert (line.help or "").split("\n\n")[0] == " ".join((own.help or "").split("\n\n")[0].split())


def test_a_command_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Exception, match="No such command"):
        parse(app, ["replant"])
    with pytest.raises(Exception, match="No such option"):
        parse(app, ["views", "list", "--jason"])


def test_help_comes_at_once_and_without_the_heavy_parts() -> None:
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "seamline", "--help"], capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    heavy = (
        "import sys; from seamline.cli.main import execute; execute(['--help'])\n"
        "print(sorted({'pyspark', 'duckdb', 'pyarrow', 'kafka', 'pydantic', 'httpx'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout
    assert "replay" in done.stdout
    assert loaded.splitlines()[-1] == "[]"
    assert seconds < 5  # 0.2 s on a quiet machine; the import list above is the real guard


def test_a_new_project_can_be_used_as_it_is(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["contracts", "list", "--project", str(shop), "--json"]) == 0
    assert [c["contract"] for c in json.loads(capsys.readouterr().out)] == ["orders"]
    assert execute(["views", "show", "orders_by_hour", "--project", str(shop), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["statements"]) == {"partial", "merge", "finalise"}
    assert execute(["views", "apply", "--project", str(shop), "--json"]) == 0
    assert [a["change"] for a in json.loads(capsys.readouterr().out)] == ["new"]
    assert execute(["views", "--project", str(shop), "list", "--json"]) == 0
    assert [v["state"] for v in json.loads(capsys.readouterr().out)] == ["served"]


def test_a_folder_with_a_gitignore_can_become_a_project_and_keeps_its_lines(tmp_path: Path) -> None:
    ignore = tmp_path / ".gitignore"
    ignore.write_text("*.pyc\nlake/")
    make_project(tmp_path)
    assert ignore.read_text() == "*.pyc\nlake/\n.seamline/\n"


def test_an_import_names_the_steps_that_are_still_needed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ({"order_id": n, "placed_at": "2025-01-01T10:00:00Z", "customer": "zoe", "amount": 1} for n in "ab")
    for name, line in zip(("one.jsonl", "two.jsonl"), lines, strict=True):
        (shop / name).write_text(json.dumps(line))
    wanted = ["--contract", "orders", "--project", str(shop)]
    assert execute(["import", str(shop / "one.jsonl"), *wanted]) == 0
    assert "no view of orders is applied yet: 'seamline views apply'" in capsys.readouterr().err
    assert execute(["views", "apply", "--project", str(shop)]) == 0
    assert execute(["import", str(shop / "two.jsonl"), *wanted]) == 0
    assert "version on: 'seamline batch refresh' makes it" in capsys.readouterr().err


def test_a_folder_that_holds_a_project_is_left_as_it_is(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = shop / "seamline.toml"
    settings.write_text("# mine")
    assert execute(["init", str(shop)]) == 2
    assert "holds a project already" in capsys.readouterr().err
    assert settings.read_text() == "# mine"


BROKEN = {
    "toml": ("seamline.toml", "[speed]\ntigger_ms = 1\n", ":2", "CONFIG_INVALID"),
    "toml syntax": ("seamline.toml", "[speed\n", ":1", "CONFIG_INVALID"),
    "yaml syntax": ("contracts/orders.yaml", "schema: [\n", ":", "CONTRACT_INVALID"),
    "yaml type": ("contracts/orders.yaml", ("logicalType: integer", "logicalType: intger"), ":32:", "CONTRACT_INVALID"),
    "sql syntax": ("views/orders_by_hour.sql", ("GROUP BY ALL", "GROUP ALL"), ":", "VIEW_INVALID"),
    "sql name": ("views/orders_by_hour.sql", ("max(amount)", "max(amout)"), ":10:7", "VIEW_INVALID"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_gives_one_message_with_its_place_and_nothing_is_applied(
    shop: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    (shop / "views" / "a_good_one.sql").write_text(
        "CREATE MATERIALIZED VIEW a_good_one AS SELECT placed_at::DATE AS day, count(*) AS n FROM orders GROUP BY ALL\n"
    )
    name, change, place, condition = BROKEN[case]
    file = shop / name
    text = change if isinstance(change, str) else file.read_text().replace(*change)
    file.write_text(text)
    assert execute(["views", "apply", "--project", str(shop)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("error:") == 1
    assert f"[{condition}]" in said.err
    assert f"{file}{place}" in said.err
    assert "hint:" in said.err
    assert "Traceback" not in said.err
    assert ledger(shop) == []


def test_an_unknown_contract_is_answered_with_those_there_are(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "x.jsonl").write_text("{}\n")
    assert execute(["replay", str(shop / "x.jsonl"), "--contract", "order", "--project", str(shop)]) == 2
    assert "detail: orders" in capsys.readouterr().err


def test_a_view_that_was_never_served_otherwise_cannot_be_rolled_back(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["views", "apply", "--project", str(shop)]) == 0
    before = ledger(shop)
    assert execute(["views", "rollback", "orders_by_hour", "--project", str(shop)]) == 2
    assert execute(["views", "rollback", "orders_by_hour", "--version", "7", "--project", str(shop)]) == 3
    assert "OUT_OF_RETENTION" in capsys.readouterr().err
    assert ledger(shop) == before


def test_a_changed_view_is_built_beside_the_served_one(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["views", "apply", "--project", str(shop)]) == 0
    file = shop / "views" / "orders_by_hour.sql"
    file.write_text(file.read_text().replace("FROM orders\n", "FROM orders WHERE amount >= 10\n", 1))
    assert execute(["views", "list", "--project", str(shop), "--json"]) == 0
    capsys.readouterr()
    assert execute(["views", "apply", "--project", str(shop)]) == 0
    assert "changed" in capsys.readouterr().out
    assert execute(["views", "list", "--project", str(shop), "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert line["state"] == "being built"
    assert line["served"] != line["definition"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError(Condition.INPUT_INVALID, "x"), 2),
        (TerminalError(Condition.SEAM_HOLE, "x"), 3),
        (ConflictError(Condition.WRITER_CONFLICT, "x"), 4),
        (TransientError(Condition.BROKER_UNAVAILABLE, "x"), 75),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def command(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(boundary, "app", command)
    assert execute(["status"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    if isinstance(error, SeamlineError):
        assert f"[{error.condition}]" in said.err


def test_a_defect_is_one_line_and_a_log(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("of one\nby none")

    monkeypatch.setattr(boundary, "app", command)
    assert execute(["status"]) == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    log = Path(said.split("details: ")[1].rstrip(")\n"))
    assert "ZeroDivisionError" in log.read_text()
    log.unlink()


def test_debug_shows_the_traceback(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--debug", "contracts", "show", "nothing", "--project", str(shop)]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_second_up_on_one_folder_is_refused(shop: Path) -> None:
    from seamline.operate.stack import hold
    from seamline.schemas.project import load_project

    held = hold(load_project(shop))
    done = subprocess.run(
        [sys.executable, "-m", "seamline", "up", "--project", str(shop)], capture_output=True, text=True, check=False
    )
    held.release()
    assert done.returncode == 4
    assert "another 'seamline up' runs this project" in done.stderr


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "views" / "orders_by_hour.sql").write_text("CREATE TABLE x")
    assert execute(["doctor", "--project", str(shop), "--json"]) == 2
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["project"]["health"] == "fault"
    assert "orders_by_hour.sql" in checks["project"]["found"]
    assert checks["project"]["hint"]


def test_the_doctor_tells_whose_the_port_is(shop: Path) -> None:
    from seamline.operate.doctor import port
    from seamline.schemas.project import ADDRESS, load_project
    from seamline.serving.role import listen

    with listen("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        (shop / "seamline.toml").write_text(f"[serving]\nport = {number}\n")
        project = load_project(shop)
        assert port(project).health == "fault"
        project.state.mkdir(exist_ok=True)
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        for pid, health in ((os.getpid(), "ok"), (other.pid, "fault")):
            (project.state / ADDRESS).write_text(json.dumps({"url": "", "port": number, "pid": pid}))
            assert port(project).health == health
        other.communicate()
        assert port(project).health == "fault"
    assert port(project).health == "ok"


def test_the_doctor_asks_a_broker_though_no_contract_names_a_topic(tmp_path: Path) -> None:
    from seamline.operate.doctor import broker, guarded
    from seamline.schemas.project import load_project

    (tmp_path / "seamline.toml").write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n')
    for folder in ("contracts", "views"):
        (tmp_path / folder).mkdir()
    found = guarded("broker", lambda: broker(load_project(tmp_path)))
    assert (found.health, "127.0.0.1:1" in found.found) == ("fault", True)


def test_the_doctor_leaves_nothing_in_the_lake(shop: Path) -> None:
    from seamline.operate.doctor import guarded, lake
    from seamline.schemas.project import load_project

    assert guarded("lake", lambda: lake(load_project(shop))).health == "ok"
    assert not [path for path in (shop / "lake").rglob("*") if path.is_file()]


def test_the_doctor_warns_of_a_lake_that_takes_no_hints(shop: Path) -> None:
    from seamline.operate.doctor import lake
    from seamline.schemas.project import load_project

    project = load_project(shop)
    (Path(project.lake.uri) / "hints").touch()  # no folder
    found = lake(project)
    assert (found.health, "hints/" in found.found) == ("warning", True)


def test_plain_tables_are_never_cut_off() -> None:
    table = plain_table(("name", "n"), [("x" * 300, "1"), ("y", "100")], (False, True))
    assert table.splitlines() == ["name" + " " * 298 + "  n", "x" * 300 + "    1", "y" + " " * 299 + "  100"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.44, "0.4 s"), (42, "42 s"), (180, "3 min"), (3600, "1 h"), (5400, "90 min")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_query_before_the_first_record_says_that_there_is_nothing_yet(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["views", "apply", "--project", str(shop)]) == 0
    capsys.readouterr()
    assert execute(["query", "SELECT * FROM orders_by_hour", "--project", str(shop)]) in (2, 3, 75)
    said = capsys.readouterr()
    assert said.out == ""
    assert "[VIEW_NOT_READY]" in said.err


def test_status_of_a_project_that_never_ran_is_no_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["views", "apply", "--project", str(shop)]) == 0
    capsys.readouterr()
    assert execute(["status", "--project", str(shop), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["views"]["orders_by_hour"]["version"] is None
    assert found["roles"] == []
    assert "never started" in found["kafka"]


def test_an_imported_file_is_served_after_a_refresh_and_never_taken_twice(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = shop / "old.csv"
    orders.write_text("order_id,placed_at,customer,amount\n1,2025-01-01T10:00:00Z,zoe,7.25\n2,never,yan,1\n")
    for already in (False, True):
        assert execute(["import", str(orders), "--contract", "orders", "--project", str(shop), "--json"]) == 0
        (taken,) = json.loads(capsys.readouterr().out)
        assert taken["already"] is already
        assert (taken["read"], taken["counted"], taken["rejected"]) == ((0, 0, 0) if already else (2, 1, 1))


def test_the_state_of_a_role_whose_process_is_gone_is_not_believed() -> None:
    from seamline.machine.supervisor import RoleState, State
    from seamline.operate.status import alive

    gone = alive(RoleState("speed", State.RUNNING, pid=2**22 + 1, born=1.0))
    assert (gone.state, gone.pid) == (State.STOPPED, None)
    assert alive(RoleState("speed", State.FAILED, reason="x")).reason == "x"


def test_a_duty_that_fails_is_logged_and_comes_round_again(caplog: pytest.LogCaptureFixture) -> None:
    from seamline.operate.scheduler import attempt

    def fails() -> int:
        raise TransientError(Condition.STORE_UNAVAILABLE, "the lake is away")

    failed: list[str] = []
    assert attempt("refresh", fails, failed) is None
    assert attempt("refresh", lambda: 1 // 0, failed) is None
    assert attempt("refresh", lambda: 7, failed) == 7
    assert len(failed) == 2
    assert "the lake is away" in caplog.text
    assert "ZeroDivisionError" in caplog.text
