"""`seamline query --watch`: the answer again whenever something new is in it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lakes import Bench, order, project

from seamline.cli.main import execute

ASKED = ["query", "SELECT sum(orders) AS orders FROM sales", "--watch"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = project(tmp_path)
    made.send(order("1"))
    made.both()
    return made


def test_each_new_epoch_gives_a_line_until_it_is_interrupted(bench: Bench, tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "seamline", *ASKED, "--format", "json", "--project", str(tmp_path)]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline()) == [{"orders": "1"}]
            for count in (2, 3):
                bench.send(order(str(count)))
                bench.speed()
                assert json.loads(process.stdout.readline()) == [{"orders": str(count)}]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize(("more", "said"), [(["--as-of", "1"], "--as-of"), (["--format", "csv"], "--format csv")])
def test_only_the_newest_answer_is_watched_as_a_table_or_as_json(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert execute([*ASKED, *more, "--project", str(tmp_path)]) == 2
    assert f"--watch with {said}" in capsys.readouterr().err
