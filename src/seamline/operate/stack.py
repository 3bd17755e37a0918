"""A running project on this machine: its broker and every role, started and stopped together."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from filelock import FileLock, Timeout
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_attempt, wait_fixed

from seamline.advance import Say, unsaid
from seamline.claims import is_claimed
from seamline.errors import Condition, ConflictError, SeamlineError, TransientError
from seamline.machine.broker import Broker
from seamline.machine.broker_settings import BrokerLog, retained
from seamline.machine.class_archive import kafka_archive
from seamline.machine.identity import Identity
from seamline.machine.supervisor import Role, RoleState, Supervisor
from seamline.observe.meters import METERS
from seamline.observe.page import metrics_page
from seamline.operate.roles import process_name
from seamline.operate.samples import stack_samples
from seamline.operate.viewapply import put_into_service
from seamline.private import made
from seamline.schemas.project import ADDRESS, BOOTSTRAP, Project
from seamline.streaming.kafka import Cluster
from seamline.streaming.liveness import is_outage

logger = logging.getLogger(__name__)

LOCK = "up.lock"
MARK = "up.json"
"""In the state folder while a stack runs: whose process it is."""

BROKER_TRIES = 5
"""How often a broker that died is started again before everything is given up."""

ASK_SECONDS = 10.0
"""How long a cluster may take to answer before the roles are started without it."""

PORT = "SEAMLINE_METRICS__PORT"
"""Says to a role which port its metrics are on."""

ROLES = "roles"
"""Folder of the roles' states, in the project's .seamline."""


@dataclass
class Stack:
    """A running project."""

    project: Project
    supervisor: Supervisor

    broker: Broker | None
    """None where a cluster is configured."""

    bootstrap: str
    lock: FileLock

    def poll(self) -> Mapping[str, RoleState]:
        """Looks at the broker and every role once, starts again what died; returns the roles' states."""
        if self.broker is not None and not self.broker.is_running():
            _keep_address(self.project, revived(self.broker))
        return self.supervisor.poll()

    def stop(self) -> None:
        """Stops the roles, then the broker; returns when all are gone. What was committed stands."""
        try:
            self.supervisor.stop()
        finally:
            if self.broker is not None:
                self.broker.stop()
            (self.project.state / MARK).unlink(missing_ok=True)
            self.lock.release()


def start_stack(
    project: Project, *, env: Mapping[str, str] | None = None, say: Say = unsaid, shared: bool = False
) -> Stack:
    """Starts broker, topics, views and roles; returns when all roles have been started (not yet: ready).

    `env` is added to every role's environment; `say` is told each step; `shared` as the setting spark.shared, which
    counts too. Raises WRITER_CONFLICT where the project runs already; VIEW_INVALID and what else the steps raise: then
    nothing is left running. A configured cluster that does not answer is left to the roles, which go on trying.
    """
    lock = hold(project)
    broker: Broker | None = None
    try:
        Identity.own().write(project.state / MARK)
        broker, bootstrap = _broker(project, say)
        _make_topics(project, bootstrap, say)
        for applied in put_into_service(project):
            if applied.change != "unchanged":
                say(f"view {applied.view}: {applied.change} definition {applied.definition}")
        supervisor = Supervisor(
            roles(project, env or {}, shared=shared or project.settings.spark.shared), project.state / ROLES
        )
        supervisor.start()
    except BaseException:
        if broker is not None:
            broker.stop()
        (project.state / MARK).unlink(missing_ok=True)
        lock.release()
        raise
    say(f"roles started; their logs are in {project.state / 'logs'}")
    return Stack(project, supervisor, broker, bootstrap, lock)


def hold(project: Project) -> FileLock:
    """The project's lock on this machine. Raises ConflictError WRITER_CONFLICT where another `up` holds it."""
    lock = FileLock(made(project.state) / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConflictError(
            Condition.WRITER_CONFLICT,
            "another 'seamline up' runs this project",
            detail="one at a time",
            hint="'seamline down' stops it; 'seamline status' shows what it does",
            where=str(project.folder),
        ) from None
    return lock


@contextmanager
def stack_page(stack: Stack) -> Iterator[None]:
    """This process's metrics, how the roles are, while the block lasts.

    Raises INPUT_INVALID where the port is taken.
    """
    settings = stack.project.settings.metrics
    reading = METERS.reading("up", lambda: stack_samples(stack.supervisor.states(), stack.broker))
    with reading, metrics_page(settings, stack.project.state, "up"):
        yield


def roles(project: Project, env: Mapping[str, str], *, shared: bool) -> list[Role]:
    """Archive and speed of each stream, the scheduler, and serving; `shared`: all but serving in one process. Where
    metrics have a port, the first role's is the next one, and so on."""
    found, port = _roles(project, env, shared=shared), project.settings.metrics.port
    if not port:
        return found
    return [replace(one, env={**one.env, PORT: str(port + n)}) for n, one in enumerate(found, start=1)]


def _roles(project: Project, env: Mapping[str, str], *, shared: bool) -> list[Role]:

    def role(kind: str, stream: str, ready: Any = None) -> Role:
        name = process_name(kind, stream)
        command = [sys.executable, "-m", "seamline", "run", kind]
        command += ["--project", str(project.folder), "--stream", stream]
        logs = project.state / "logs"
        own = {"PYTHONUNBUFFERED": "1", **env}
        return Role(name, command, logs / f"{name}.log", own, ready)

    lake = project.lake
    serving = role("serving", "main", lambda: _answers(project))
    if shared:
        logs = [log(stream) for stream in project.streams for log in (lake.archive_log, lake.speed_log)]
        return [role("together", "main", lambda: all(is_claimed(lake, log) for log in logs)), serving]
    wanted = []
    for stream in project.streams:
        archive, speed = lake.archive_log(stream), lake.speed_log(stream)
        wanted.append(role("archive", stream, lambda log=archive: is_claimed(lake, log)))
        wanted.append(role("speed", stream, lambda log=speed: is_claimed(lake, log)))
    return [*wanted, role("scheduler", "main"), serving]


def _broker(project: Project, say: Say) -> tuple[Broker | None, str]:
    if project.settings.kafka.bootstrap_servers:
        return None, project.bootstrap
    if not kafka_archive().exists():
        say("starts take half as long after 'seamline prepare'")
    say("starting the embedded broker…")
    broker = embedded_broker(project).start()
    _keep_address(project, broker)
    say(f"broker: {broker.bootstrap}")
    return broker, broker.bootstrap


def embedded_broker(project: Project) -> Broker:
    """The project's own, as its settings want it; not started."""
    logs, kept = project.settings.logs, project.settings.kafka.retention_hours
    log = BrokerLog((project.state / "logs" / "broker.log").absolute(), logs.max_mb << 20, logs.keep)
    return Broker(project.state / "broker", log, retained(kept))


def _make_topics(project: Project, bootstrap: str, say: Say) -> None:
    cluster = Cluster(bootstrap, project.settings.kafka.options, patience=ASK_SECONDS)
    try:
        made = cluster.create_missing({c.topic for c in project.contracts.values()}, project.settings.kafka.partitions)
    except SeamlineError as error:
        if not is_outage(error):
            raise
        say(f"{error.message}; the roles go on trying, and make missing topics then")
        return
    finally:
        cluster.close()
    if made:
        say(f"topics made: {', '.join(made)}")


def revived(broker: Broker) -> Broker:
    """Starts it again, more than once: what killed it may kill it while it starts, too. Raises as `Broker.start`."""
    trying = Retrying(
        retry=retry_if_exception_type(TransientError), stop=stop_after_attempt(BROKER_TRIES), wait=wait_fixed(1),
        before_sleep=before_sleep_log(logger, logging.WARNING), reraise=True,
    )  # fmt: skip
    return trying(broker.start)


def _keep_address(project: Project, broker: Broker) -> None:
    """Other commands find the embedded broker by this file."""
    (project.state / BOOTSTRAP).write_text(broker.bootstrap + "\n", encoding="utf-8")


def _answers(project: Project) -> bool:
    """Whether the serving role takes requests."""
    try:
        url = f"{serving_address(project)}/healthz"  # the certificate is for its clients' name of it, not for ours
        return httpx.get(url, timeout=1, verify=False).status_code == 200  # noqa: S501 - nothing is sent or believed
    except httpx.HTTPError:
        return False


def postgres_address(project: Project) -> str:
    """Where clients of PostgreSQL reach the serving role, as a URL; '' where they do not."""
    try:
        return str(json.loads((project.state / ADDRESS).read_text(encoding="utf-8")).get("pg_url", ""))
    except (OSError, ValueError):
        return ""


def addresses(project: Project) -> str:
    """Where the serving role is reached: over HTTP, and where it is open by clients of PostgreSQL."""
    return ", ".join(filter(None, [serving_address(project), postgres_address(project)]))


def serving_address(project: Project) -> str:
    """Where the serving role listens: what it says itself, else what is configured."""
    try:
        return str(json.loads((project.state / ADDRESS).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError):
        protocol = "https://" if project.settings.serving.tls_cert else "http://"
        return f"{protocol}{project.settings.serving.host}:{project.settings.serving.port}"
