"""Looks at each thing that has to be right on this machine and in a project, and how to correct what is not."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import obstore
import psutil

from seamline import hints
from seamline.attempts import new_attempt
from seamline.errors import Condition, SeamlineError
from seamline.machine.class_archive import kafka_archive, spark_archive
from seamline.machine.jars import ensure_jars, jars_folder
from seamline.machine.java import find_java
from seamline.objects import put_if_absent
from seamline.schemas.project import ADDRESS, Project, load_project
from seamline.schemas.views.project_views import compile_all
from seamline.streaming.kafka import Cluster

GB = 1 << 30
Health = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """What one look found, and how to correct it."""

    name: str
    health: Health
    found: str
    hint: str = ""


def examine(folder: Path) -> Iterator[Finding]:
    """Every check, in order; those of the project only where it can be read."""
    yield guarded("java", java)
    yield guarded("jars", jars)
    yield guarded("classes", classes)
    yield guarded("memory", memory)
    yield guarded("disk", lambda: disk(folder))
    loaded: list[Project] = []
    yield guarded("project", lambda: project_files(folder, loaded))
    for project in loaded:
        yield guarded("lake", lambda project=project: lake(project))  # type: ignore[misc]
        yield guarded("broker", lambda project=project: broker(project))  # type: ignore[misc]
        yield guarded("port", lambda project=project: port(project))  # type: ignore[misc]


def guarded(name: str, look: Callable[[], Finding]) -> Finding:
    """A look that fails is a fault found, not the end of the examination."""
    try:
        return look()
    except SeamlineError as error:
        where = f"{error.where}: " if error.where else ""
        return Finding(name, "fault", f"{where}{error.message}", error.hint or error.detail)
    except Exception as error:  # noqa: BLE001 - whatever a check meets is what it has to say
        return Finding(name, "fault", f"{type(error).__name__}: {error}")


def java() -> Finding:
    """A Java that Spark and the broker run on."""
    found = find_java()
    return Finding("java", "ok", f"version {found.version} in {found.home}")


def jars() -> Finding:
    """The jars, without fetching them."""
    if not jars_folder().exists():
        return Finding(
            "jars", "warning", "not fetched yet", "python -m seamline.machine.jars (else the first start fetches them)"
        )
    return Finding("jars", "ok", f"verified in {ensure_jars()}")


def classes() -> Finding:
    """Whether the broker and Spark start as fast as they can; without fetching jars."""
    command = "seamline prepare"
    if not jars_folder().exists():
        return Finding("classes", "ok", "made once the jars are fetched", command)
    if not kafka_archive().exists() or not spark_archive().exists():
        return Finding("classes", "warning", "no archives: starts take twice as long", f"{command} (25 s, once)")
    return Finding("classes", "ok", f"archives in {kafka_archive().parent}")


def memory() -> Finding:
    """What is free now: everything together takes about 4 GB."""
    free = psutil.virtual_memory().available / GB
    health: Health = "ok" if free >= 4 else "warning" if free >= 2 else "fault"
    return Finding("memory", health, f"{free:.1f} GB free", "" if free >= 4 else "end other programs: 4 GB are wanted")


def disk(folder: Path) -> Finding:
    """Room beside the project."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / GB
    health: Health = "ok" if free >= 5 else "warning" if free >= 1 else "fault"
    return Finding("disk", health, f"{free:.1f} GB free at {there}", "" if free >= 5 else "make room: 5 GB are wanted")


def project_files(folder: Path, loaded: list[Project]) -> Finding:
    """Settings, contracts and views, compiled."""
    project = load_project(folder)
    compile_all(project.views, project.contracts)
    loaded.append(project)
    said = f"{len(project.contracts)} contracts, {len(project.views)} views"
    if not project.contracts:
        return Finding("project", "warning", said, f"put a contract into {project.folder / 'contracts'}")
    return Finding("project", "ok", said)


def lake(project: Project) -> Finding:
    """The lake takes a new object, and refuses a second one of the same name: what the ledger stands on. It takes hints
    too, by which answers are fresh."""
    store, attempt = project.lake.store, new_attempt()
    path, log = project.lake.lease_path(f"doctor-{attempt}"), f"doctor/{attempt}"
    if not put_if_absent(store, path, b"{}"):
        return Finding(
            "lake", "fault", f"{project.lake.uri} says that a new name is taken", "use a store without a cache"
        )
    again = put_if_absent(store, path, b"{}")
    obstore.delete(store, path)
    if again:
        hint = "use a store with conditional writes (If-None-Match)"
        return Finding("lake", "fault", f"{project.lake.uri} overwrites what should be put only if absent", hint)
    if not hints.tell(store, log, attempt):
        late = (
            "let those that write the lake put objects there: without them answers are as old as serving.sweep_seconds"
        )
        return Finding("lake", "warning", f"{project.lake.uri} takes nothing below {hints.HINTS}", late)
    obstore.delete(store, hints.place(log))
    return Finding("lake", "ok", f"{project.lake.uri} can be written, and puts only if absent")


def broker(project: Project) -> Finding:
    """The cluster, and the contracts' topics."""
    settings = project.settings.kafka
    try:
        address = project.bootstrap
    except SeamlineError:
        return Finding("broker", "ok", "the embedded one; it was not started yet ('seamline up' does)")
    topics = {contract.topic for contract in project.contracts.values()}
    cluster = Cluster(address, settings.options, patience=3)
    try:
        cluster.ping()  # a project without contracts names no topic, and would ask nothing
        cluster.topics(topics)
    except SeamlineError as error:
        if error.condition == Condition.TOPIC_MISSING:
            return Finding("broker", "warning", error.message, "'seamline up' and 'seamline replay' make topics")
        if not settings.bootstrap_servers:
            return Finding("broker", "ok", "the embedded one; it does not run now ('seamline up' starts it)")
        raise
    finally:
        cluster.close()
    return Finding("broker", "ok", f"{address} answers; {len(topics)} topics")


def port(project: Project) -> Finding:
    """The serving port: free, or held by this project's own serving role."""
    host, number = project.settings.serving.host, project.settings.serving.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            reason = error.strerror
        else:
            return Finding("port", "ok", f"{host}:{number} is free")
    if _serves(project, number):
        return Finding("port", "ok", f"{host}:{number} is this project's serving role's")
    hint = "set serving.port to another one in seamline.toml (0 takes a free one), or end what listens there"
    return Finding("port", "fault", f"{host}:{number} cannot be had, nor is it this project's: {reason}", hint)


def _serves(project: Project, port: int) -> bool:
    """Whether the process that the project's serving role says it is listens on a port: after a kill, what it said
    stays, and another project's role may have the port."""
    try:
        said = json.loads((project.state / ADDRESS).read_text(encoding="utf-8"))
        held = psutil.Process(int(said["pid"])).net_connections("tcp")
    except (OSError, ValueError, KeyError, psutil.Error):
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in held)
