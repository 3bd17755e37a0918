"""Runs the Ivy that PySpark bundles, with the user's own settings (mirrors, credentials) where there are any."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from seamline.errors import Condition, TransientError
from seamline.machine.java import find_java

Watch = Callable[[str, int, int], None]
"""Told (stage, done, total) as work goes on."""

DEADLINE = 1800.0
"""Seconds until a download that hangs is given up."""


def resolve(ivy_xml: Path, target: Path, cache: Path, total: int, watch: Watch) -> None:
    """Downloads what `ivy_xml` names to `target/<conf>/<artifact>-<revision>.jar`; `total` jars are expected.

    Raises TransientError JARS_INVALID with Ivy's own words where something could not be had.
    """
    settings = find_settings(os.environ, Path.home())
    command = [
        str(find_java().binary),
        *proxy_options(os.environ),
        *("-cp", str(_ivy_jar()), "org.apache.ivy.Main"),
        *("-ivy", str(ivy_xml), "-confs", "spark", "kafka", "-types", "jar", "bundle", "-cache", str(cache)),
        *("-retrieve", f"{target}/[conf]/[artifact]-[revision].[ext]"),
        *(("-settings", str(settings)) if settings else ()),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        timer = threading.Timer(DEADLINE, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            said = _follow(process.stdout, total, watch)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
    if process.returncode != 0 or not target.is_dir():
        raise TransientError(
            Condition.JARS_INVALID,
            "jars could not be downloaded: " + (complaints(said) or f"Ivy ended with {process.returncode}"),
            hint="check the network; behind a mirror, name it in ~/.ivy2/ivysettings.xml or in the file that "
            "SEAMLINE_IVYSETTINGS points to; a proxy is taken from https_proxy",
            where=str(settings or "Ivy's default: Maven Central"),
        )


def _follow(output: Iterator[str], total: int, watch: Watch) -> list[str]:
    """Turns Ivy's output into progress; returns its lines."""
    lines, found, fetched = [], 0, 0
    for line in output:
        lines.append(line.rstrip())
        if line.startswith("\tfound "):
            found += 1
            watch("resolving", min(found, total), total)
        elif "[SUCCESSFUL ]" in line:
            fetched += 1
            watch("downloading", min(fetched, total), total)
    return lines


def complaints(lines: list[str]) -> str:
    """What Ivy says went wrong, short: the first few modules and the first host error."""
    wanted = re.compile(r"UnknownHost|ConnectException|timed out|refused|SSL|status code=4|: not found$|FAILED")
    said = [line.strip(" \t:") for line in lines if wanted.search(line)]
    return "; ".join(dict.fromkeys(said[:4]))[:600]


def find_settings(environ: Mapping[str, str], home: Path) -> Path | None:
    """The user's ivysettings: SEAMLINE_IVYSETTINGS, Spark's `spark.jars.ivySettings`, then ~/.ivy2's."""
    named = environ.get("SEAMLINE_IVYSETTINGS") or _from_spark_defaults(environ)
    if named:
        return Path(named).expanduser().absolute()
    usual = home / ".ivy2" / "ivysettings.xml"
    return usual if usual.is_file() else None


def _from_spark_defaults(environ: Mapping[str, str]) -> str | None:
    folder = environ.get("SPARK_CONF_DIR") or (f"{environ['SPARK_HOME']}/conf" if environ.get("SPARK_HOME") else "")
    file = Path(folder, "spark-defaults.conf")
    if not folder or not file.is_file():
        return None
    found = re.search(r"^\s*spark\.jars\.ivySettings[\s=:]+(\S+)", file.read_text(), re.MULTILINE)
    return found.group(1) if found else None


def proxy_options(environ: Mapping[str, str]) -> list[str]:
    """Java does not read https_proxy: said again as system properties."""
    options = []
    for scheme in ("http", "https"):
        url = environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY")
        parts = urlsplit(url) if url else None
        if parts and parts.hostname:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            options += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={port}"]
    return options


def _ivy_jar() -> Path:
    spec = find_spec("pyspark")
    folder = Path(spec.origin).parent if spec and spec.origin else Path(os.environ.get("SPARK_HOME", "."))
    return next(iter(sorted((folder / "jars").glob("ivy-*.jar"))), folder / "jars" / "ivy.jar")
