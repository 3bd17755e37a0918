"""docs/operating.md, as an operator does it: its commands are run, and lead where it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

BLOCK = re.compile(r"<!-- operate -->\n```sh\n(?P<text>.*?)```", re.DOTALL)
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SEAMLINE_PROJECT")},
    "SEAMLINE_SPARK__DRIVER_MEMORY": "600m",
}


class Operator:
    """Types the blocks of the page, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocks = [block["text"] for block in BLOCK.finditer((ROOT / "docs" / "operating.md").read_text())]
        self.typed = 0

    def types(self, blocks: int = 1) -> str:
        """The next blocks; what they printed."""
        text = "".join(self.blocks[self.typed : self.typed + blocks])
        self.typed += blocks
        script = f'set -e\nseamline() {{ {shlex.quote(sys.executable)} -m seamline "$@"; }}\n{text}'
        done = subprocess.run(
            ["sh", "-c", script], cwd=self.folder, env=ENV, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def asks(self, *words: str) -> Any:
        command = [sys.executable, "-m", "seamline", *words]
        return json.loads(subprocess.run(command, cwd=self.folder, env=ENV, check=True, capture_output=True).stdout)


@pytest.mark.spark
@pytest.mark.timeout(900)
def test_the_operators_tour_leads_where_it_says(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    assert "2  rule pattern: country" in operator.types()
    operator.folder = tmp_path / "shop"

    found = operator.types(2)
    assert "of 4 groups (group) in 1, orders in 1, revenue in 1" in found
    mended = operator.types()
    assert re.search(r"revenue +1 +20\.5 +unexplained", mended)
    assert "version 4 is built and not served" in mended
    assert "4 groups of version 4, computed by duckdb from raw below start: equal" in mended
    back = operator.types()
    assert "4 groups of version 2, computed by duckdb from raw below start: 3 differences" in back
    assert "4 groups of version 4, computed by duckdb from raw below start: equal" in back

    assert re.search(r"rule pattern: country +country +2 ", operator.types())
    retried = operator.types()
    assert "2 records accepted and filed" in retried
    assert "no record is rejected" in retried
    assert "equal" in retried
    rows = operator.asks(
        "query", "SELECT upper(country) AS c, sum(orders) AS n FROM orders_by_hour GROUP BY 1", "--format", "json"
    )
    assert {row["c"]: int(row["n"]) for row in rows} == {"FI": 4, "SE": 2}
    assert operator.typed == len(operator.blocks)
