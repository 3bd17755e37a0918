"""`seamline schedule`: the jobs that `seamline up` runs by the clock, and one of them by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from seamline.console import say, show_json, show_table
from seamline.operate.schedule import Ran, job_states
from seamline.operate.scheduler import run_job
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.wording import duration

FAILED = 1
"""Exit code where something in the job failed: it comes round again, and so may be tried again."""


def add(app: typer.Typer) -> None:
    """Adds the group."""
    about = "The jobs that run by the clock: when they ran, what failed, and one of them now."
    commands = group("schedule", about, "seamline schedule list", no_args_is_help=True)
    commands.command(name="list", epilog=examples("seamline schedule list"))(list_jobs)
    commands.command(name="run", epilog=examples("seamline schedule run retain"))(run)
    app.add_typer(commands)


def list_jobs(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the jobs: how often each runs inside 'seamline up', its last and next run here, and what failed in it."""
    found = job_states(load_project(project))
    if as_json:
        show_json([one.model_dump(mode="json") for one in found])
        return
    rows = [
        (
            one.job, f"every {duration(one.every_seconds)}", one.last.at if one.last else None,
            duration(one.last.seconds) if one.last else None, _became(one.last), one.last.next if one.last else None,
        )
        for one in found
    ]  # fmt: skip
    show_table(("job", "runs", "last", "took", "became", "next"), rows)
    for one in found:
        for line in one.last.failed if one.last else ():
            say(f"{one.job}: {line}")


def run(
    job: Annotated[str, typer.Argument(help="The job: 'seamline schedule list' says which there are.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Run one job now, in this process, as cron or an orchestrator does. Ends with 1 where something in it failed."""
    ran = run_job(load_project(project), job)
    if as_json:
        show_json({"job": job, **ran.model_dump(mode="json")})
    else:
        say(f"{job}: {_became(ran)} after {duration(ran.seconds)}")
        for line in ran.failed:
            say(f"{job}: {line}")
    if ran.failed:
        raise typer.Exit(FAILED)


def _became(ran: Ran | None) -> str:
    if ran is None:
        return "not run here yet"
    if not ran.failed:
        return "done"
    return "failed" if ran.failures == 1 else f"failed {ran.failures} times in a row"
