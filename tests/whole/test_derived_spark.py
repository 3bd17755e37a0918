"""A view over a view through a real broker and real Spark: both layers, and a batch version made while raw is away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from stream_parts import event, make_project, produce, running
from waiting import wait_until

from seamline.clock import system_clock
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import load_project
from seamline.schemas.states import apply_views
from seamline.serving.serving import Serving
from seamline.streaming.archive.role import run_archive
from seamline.streaming.speed.role import run_speed

PER_DAY = """\
CREATE MATERIALIZED VIEW per_day AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(events) AS events,
       MEASURE(total) / MEASURE(events) AS mean FROM per_hour GROUP BY ALL
"""


def test_a_derived_view_is_right_in_both_layers_and_its_version_needs_no_raw(
    broker: Any, fresh_topic: Callable[..., str], spark: Any, tmp_path: Path
) -> None:
    topic = fresh_topic(2)
    make_project(tmp_path / "project", broker.bootstrap, topic)
    (tmp_path / "project/views/per_day.sql").write_text(PER_DAY)
    project = load_project(tmp_path / "project")
    lake = project.lake
    apply_views(lake, project.views, project.contracts, system_clock)
    speed, archive = SpeedHistory(lake.speed_log("main")), ArchiveHistory(lake.archive_log("main"))
    sent = [event(n, day=1 + n % 3) for n in range(60)]

    def far(log: SpeedHistory | ArchiveHistory) -> bool:
        log.catch_up()
        return sum(offset for _, offset in log.frontier.items()) >= len(sent) + 10

    with ExitStack() as stack:
        for run in (run_speed, run_archive):
            stack.enter_context(running(partial(run), project, spark))
        produce(broker.bootstrap, topic, sent + sent[:10])
        wait_until(lambda: far(speed) and far(archive), 90, "both layers have all")
    before = answer(project)
    assert [row["events"] for row in before] == [20, 20, 20]
    batch = Batch(lake, spark_runner(spark), project.settings.batch)
    assert batch.refresh("per_hour").version is not None
    raw = next(Path(lake.uri.removeprefix("file://")).glob("raw*"))
    raw.rename(raw.with_name("away"))
    outcome = batch.refresh("per_day")
    raw.with_name("away").rename(raw)
    assert outcome.version is not None
    assert outcome.audit.compared
    assert outcome.audit.clean, outcome.audit
    assert outcome.audit.verified is not None
    assert (outcome.audit.verified.checked, outcome.audit.verified.groups) == (0, 3)
    assert "raw cannot be read" in outcome.audit.verified.left
    state = Catalogue(lake).states
    made = BatchHistory(lake.batch_log(str(state["per_day"].served))).versions[outcome.version]
    assert (made.folded, made.counts.counted) == (state["per_hour"].version, 60)
    assert answer(project) == before
    told = Serving(lake, project.settings).query("SELECT * FROM per_day").provenance["per_day"].to_json()
    assert told["version"] == outcome.version
    assert told["derived_from"] == [{"view": "per_hour", "definition": state["per_hour"].served}]


def answer(project: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        Serving(project.lake, project.settings).query("SELECT * FROM per_day ORDER BY day").table.to_pylist()
    )
    return rows
