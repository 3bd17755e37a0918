"""The batch layer through spark-submit: executors are processes of their own, with the package from --py-files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyspark
import pytest
from lakes import Bench, order, orders, project
from places import ROOT

from seamline.jobs.spark_runner import spark_runner
from seamline.machine.java import find_java

PACKAGES = {
    "seamline": "src/seamline",
    "seamline/schemas": "schemas",
    "seamline/streaming": "streaming",
    "seamline/jobs": "jobs",
    "seamline/serving": "serving",
}


def build_zip(into: Path, imported: Path) -> Path:
    """The package as `make zip` lays it out; importing it leaves a file named by the process in `imported`."""
    note = f"\nimport os\nfrom pathlib import Path\nPath({str(imported)!r}, str(os.getpid())).touch()\n"
    with zipfile.ZipFile(into, "w") as archive:
        for package, folder in PACKAGES.items():
            for path in sorted((ROOT / folder).rglob("*")):
                name = f"{package}/{path.relative_to(ROOT / folder)}"
                if path.is_file() and "__pycache__" not in name:
                    archive.writestr(
                        name, path.read_bytes() + (note.encode() if name == "seamline/__init__.py" else b"")
                    )
    return into


def shop(folder: Path) -> Bench:
    """A project with a lake of a few records, which an epoch and the archive have."""
    bench = project(folder)
    bench.send(*orders(40), order("o3", shop="b", amount=3), b"{")
    bench.both()
    return bench


@pytest.mark.spark
@pytest.mark.parametrize("master", ["local[2]", "local-cluster[1,1,1024]"])
def test_spark_submit_makes_a_version_on_its_executors(tmp_path: Path, master: str) -> None:
    bench = shop(tmp_path / "shop")
    imported = tmp_path / "imported"
    imported.mkdir()
    home = Path(pyspark.__file__).parent
    zipped = build_zip(tmp_path / "seamline.zip", imported)
    command = [
        *(str(home / "bin" / "spark-submit"), "--master", master, "--py-files", str(zipped)),
        *("--conf", "spark.ui.enabled=false", "--conf", "spark.driver.bindAddress=127.0.0.1"),
        *("--conf", "spark.driver.host=127.0.0.1", "--driver-memory", "1g"),
        *(str(ROOT / "deploy" / "submit.py"), "batch", "refresh", "--project", str(tmp_path / "shop"), "--json"),
    ]
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "JAVA_HOME": str(find_java().home),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(tmp_path / "work"),
        # a view of the package through the zip alone: no folder of the sources in front of it
        "PYTHONPATH": "",
    }
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    # spark-submit puts what Python writes to standard error on standard output: the progress comes first
    (outcome,) = json.loads(ended.stdout[ended.stdout.index("[\n") :])
    assert outcome["counted"] == 40
    assert outcome["audit"] == "equal"
    assert bench.served[1] == outcome["version"]
    assert bench.answer() == bench.expected(*orders(40))
    assert len(list(imported.iterdir())) >= 2, "driver and executors import the package from the zip"


@pytest.mark.each_python
@pytest.mark.spark
def test_units_run_as_spark_tasks_and_progress_is_told(spark: object, tmp_path: Path) -> None:
    bench = shop(tmp_path / "shop")
    outcome = bench.batch.__class__(bench.lake, runner=spark_runner(spark, lambda done, total: None)).rebuild("sales")
    assert outcome.counts.counted == 40
    assert outcome.audit.clean
    assert bench.answer() == bench.expected(*orders(40))
