"""What Seamline keeps is closed to other users of the machine, and no place that they could prepare is trusted."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamline import private
from seamline.errors import Condition, UserError
from seamline.lake import Lake
from seamline.private import keep_others_out, own_folder, spill_folder


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that every user may write to."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    private._spill_of.cache_clear()
    yield folder
    private._spill_of.cache_clear()


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A user whose files are open to all unless somebody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_spills_goes_where_nobody_else_looks_and_nobody_knows_the_name_before(shared: Path) -> None:
    folder = spill_folder()
    assert folder.parent.parent == own_folder()
    assert own_folder().parent == shared
    assert [mode(path) for path in (folder, folder.parent, own_folder())] == [0o700] * 3
    private._spill_of.cache_clear()
    assert spill_folder() != folder


@pytest.mark.parametrize("prepared", ["link", "file", "another's"])
def test_what_another_user_prepared_under_the_name_is_refused(shared: Path, tmp_path: Path, prepared: str) -> None:
    name, elsewhere = shared / f"seamline-{os.getuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if prepared == "link":
        name.symlink_to(elsewhere)
    elif prepared == "file":
        name.touch()
    elif os.getuid() == 0:
        name.mkdir()
        os.chown(name, 65534, 65534)
    else:
        pytest.skip("only root can give a folder away")
    with pytest.raises(UserError) as refused:
        spill_folder()
    assert refused.value.condition is Condition.CONFIG_INVALID
    assert (refused.value.where, "TMPDIR" in refused.value.hint) == (str(name), True)
    assert list(elsewhere.iterdir()) == []


def test_an_own_folder_that_stands_open_is_closed(shared: Path) -> None:
    (shared / f"seamline-{os.getuid()}").mkdir()
    (shared / f"seamline-{os.getuid()}").chmod(0o777)
    assert mode(own_folder()) == 0o700


SPILLS = "from seamline.private import spill_folder; print(spill_folder(), flush=True); input()"


def test_what_a_killed_process_spilled_is_removed_and_a_living_ones_is_not(shared: Path) -> None:
    def start() -> tuple[subprocess.Popen[str], Path]:
        env = {**os.environ, "TMPDIR": str(shared)}
        child = subprocess.Popen(
            [sys.executable, "-c", SPILLS], env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        return child, Path(child.stdout.readline().strip())

    (killed, left), (living, kept) = start(), start()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.exists()
    spill_folder()
    assert (left.exists(), kept.exists()) == (False, True)
    living.communicate("\n")
    assert not kept.exists(), "who ends well takes its own along"


def test_a_lakes_folder_is_closed_to_others_whatever_the_umask(open_umask: None, tmp_path: Path) -> None:
    Lake.open(str(tmp_path / "lake"))
    assert mode(tmp_path / "lake") == 0o770


@pytest.mark.parametrize(("umask", "file"), [(0o022, 0o640), (0o002, 0o660), (0o077, 0o600)])
def test_the_group_may_do_what_the_users_umask_says_and_others_nothing(
    open_umask: None, tmp_path: Path, umask: int, file: int
) -> None:
    os.umask(umask)
    keep_others_out()
    (tmp_path / "file").touch()
    child = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
    subprocess.run([sys.executable, "-c", child, tmp_path / "child's"], check=True)
    assert [mode(tmp_path / name) for name in ("file", "child's")] == [file, file]


def test_nothing_that_a_command_makes_can_be_read_by_others(open_umask: None, tmp_path: Path) -> None:
    for words in (["init", "shop"], ["views", "apply", "--project", "shop"]):
        subprocess.run([sys.executable, "-m", "seamline", *words], cwd=tmp_path, check=True, capture_output=True)
    made = list((tmp_path / "shop").rglob("*"))
    assert any("lake/ledger" in str(path) for path in made)
    assert [str(path) for path in made if mode(path) & 0o007] == []


def test_status_writes_nothing_so_that_a_folder_that_may_only_be_read_is_enough(tmp_path: Path) -> None:
    def run(*words: str) -> None:
        subprocess.run([sys.executable, "-m", "seamline", *words], cwd=tmp_path, check=True, capture_output=True)

    run("init", "shop")
    run("views", "apply", "--project", "shop")
    before = sorted(tmp_path.rglob("*"))
    run("status", "--project", "shop")
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "shop" / ".seamline").touch()  # where nobody can make a folder, not even root
    run("status", "--project", "shop")


def test_where_nothing_may_be_written_it_is_said_so() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "seamline", "init", "/sys/shop"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert "STORE_UNAVAILABLE" in ran.stderr
    assert "/sys/shop" in ran.stderr
