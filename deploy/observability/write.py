"""Writes what is made of the table of metrics: docs/metrics.md's list, and Grafana's dashboards.

`.venv/bin/python deploy/observability/write.py` after a change of `src/seamline/observe/metrics.py`; a test fails where
it was forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seamline.observe.metrics import ALL, ARCHIVE, METRICS, SCHEDULER, SERVING, SPEED, UP, Metric

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs/metrics.md"
LISTED = re.compile(r"(<!-- the table of metrics -->\n).*?(<!-- its end -->)", re.DOTALL)

DASHBOARDS = {
    "streams": ("Seamline: streams", (SPEED, ARCHIVE)),
    "batch": ("Seamline: batch and lake", (SCHEDULER,)),
    "serving": ("Seamline: serving", (SERVING,)),
    "project": ("Seamline: processes", (UP, "all")),
}
"""By file its title, and whose metrics it shows; `all`: those of every role."""

WIDTH, HEIGHT, COLUMNS = 12, 8, 2


def table() -> str:
    """The list of docs/metrics.md."""
    lines = ["| metric | kind | labels | of | |", "|---|---|---|---|---|"]
    for one in METRICS.values():
        labels, of = (
            ", ".join(f"`{label}`" for label in one.labels),
            "all" if one.roles == ALL else ", ".join(one.roles),
        )
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {of} | {one.help} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/metrics.md with the list as it is to be."""
    return LISTED.sub(lambda found: f"{found[1]}{table()}{found[2]}", PAGE.read_text(encoding="utf-8"))


def drawn(metric: Metric) -> Iterator[tuple[str, str, str, str]]:
    """The panels of a metric: title, expression, legend and Grafana's unit."""
    by = ", ".join(metric.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or "{{process}}"
    name = metric.name
    if metric.kind == "histogram":
        few = ", ".join(label for label in metric.labels if label != "outcome")
        by_bucket = f"le, {few}" if few else "le"
        quantile = f"histogram_quantile(0.95, sum by ({by_bucket}) (rate({name}_bucket[$__rate_interval])))"
        yield f"{name}: 95th percentile", quantile, legend.replace(" {{outcome}}", ""), "s"
        yield f"{name}: a second", f"sum by ({by}) (rate({name}_count[$__rate_interval]))", legend, "ops"
    elif metric.kind == "counter":
        yield f"{name}: a second", f"sum by ({by}) (rate({name}[$__rate_interval]))", legend, "ops"
    elif name.endswith("_timestamp_seconds"):
        until = "_next_" in name
        yield (
            f"{name}: seconds {'until' if until else 'since'}", f"{name} - time()" if until else f"time() - {name}",
            legend, "s",
        )  # fmt: skip
    else:
        unit = {"_seconds": "s", "_bytes": "bytes"}.get("_" + name.rpartition("_")[2], "short")
        yield name, name, legend, unit


def dashboard(uid: str, title: str, roles: tuple[str, ...]) -> dict[str, Any]:
    """One dashboard: a panel for each metric of these roles, in the table's order."""
    shown = [one for one in METRICS.values() if one.roles[0] in roles and one.roles != ALL]
    shown += [one for one in METRICS.values() if one.roles == ALL and "all" in roles]
    panels = [(one.help, *drawing) for one in shown for drawing in drawn(one)]
    return {
        "uid": f"seamline-{uid}",
        "title": title,
        "tags": ["seamline"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, about: str, title: str, expression: str, legend: str, unit: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title.removeprefix("seamline_"),
        "description": about,
        "datasource": source,
        "gridPos": {"x": WIDTH * (number % COLUMNS), "y": HEIGHT * (number // COLUMNS), "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
    }


def written() -> dict[Path, str]:
    """Every file that is made, and what is to stand in it."""
    made = {PAGE: page()}
    for name, (title, roles) in DASHBOARDS.items():
        text = json.dumps(dashboard(name, title, roles), indent=1) + "\n"
        made[HERE / "dashboards" / f"{name}.json"] = text
    return made


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
