"""The serving role: what follows the ledger, those who answer, and the ports that they are asked at, while it runs."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI

from seamline.addresses import reached_at
from seamline.config import OFF, ServingSection
from seamline.errors import Condition, UserError
from seamline.observe.meters import METERS
from seamline.private import put_whole
from seamline.schemas.project import ADDRESS, Project
from seamline.serving.access.audited import audited
from seamline.serving.access.auditlog import audit_log
from seamline.serving.access.authentication import Access
from seamline.serving.access.certificate import Certificate, certificate_of
from seamline.serving.access.opening import check_open
from seamline.serving.access.policies import load_policies
from seamline.serving.access.store import tokens_of
from seamline.serving.asking import Direct
from seamline.serving.follower import Follower
from seamline.serving.http.app import create_app
from seamline.serving.http.connections import bounded
from seamline.serving.lookups.indexes import Lookups
from seamline.serving.samples import serving_samples
from seamline.serving.saved import load_queries
from seamline.serving.serving import Serving
from seamline.serving.wire.port import open_port
from seamline.serving.wire.wired import DATABASE
from seamline.serving.workers.crew import Crew
from seamline.signals import stopping

LOOP: Literal["uvloop", "asyncio"] = "asyncio" if sys.platform == "win32" else "uvloop"
"""The loop that the role runs in: libuv's, wherever there is one."""

_log = logging.getLogger("seamline.serving")


def run_serving(project: Project) -> None:
    """Serves a project until SIGTERM or SIGINT: requests that are running are finished first.

    Raises INPUT_INVALID where a port is taken, and CONFIG_INVALID. The addresses are in `.seamline/serving.json` while
    it runs.
    """
    settings = project.settings.serving
    access = Access(tokens_of(project.folder, project.settings), load_policies(project.folder))
    queries = load_queries(project.folder)
    check_open(settings.host, access)
    certificate = certificate_of(project)
    with ExitStack() as opened:
        http = opened.enter_context(listen(settings.host, settings.port))
        postgres = None
        if settings.pg_port != OFF:
            postgres = opened.enter_context(listen(settings.host, settings.pg_port, "serving.pg_port"))
        _write_address(project, http, "https://" if certificate else "http://", postgres)
        opened.callback((project.state / ADDRESS).unlink, missing_ok=True)
        audit = audit_log(project.state, project.settings)
        if audit is not None:
            opened.callback(audit.close)
        crew = crew_of(project, lambda: follower.serving)
        lookups = Lookups(lambda: follower.serving, settings.lookup_mb << 20)
        ready = lookups.after(crew.publish if crew else Serving.prepare)
        follower = Follower(project.lake, project.settings, ready=ready)
        opened.callback(follower.stop)
        opened.callback(lookups.stop)
        lookups.start()
        follower.start()
        asker = crew or Direct(lambda: follower.serving)

        @asynccontextmanager
        async def besides(_: FastAPI) -> AsyncIterator[None]:
            async with AsyncExitStack() as beside:
                if crew is not None:
                    await beside.enter_async_context(crew)
                if postgres is not None:
                    tls = certificate.context if certificate else None
                    asked = audited(asker, audit, "postgres")
                    port = open_port(postgres, asked, access, tls, settings.query_seconds, audit)
                    await beside.enter_async_context(port)
                yield

        named = [settings.host, *settings.hosts]
        app = create_app(
            follower, named, access=access, audit=audit, asker=asker, lifespan=besides, queries=queries,
            settings=settings, ending=lambda: server.should_exit, lookups=lookups,
        )  # fmt: skip
        server = _server(app, certificate, settings)
        # uvicorn stops on both signals, then raises them again for the handlers that stood before: those do nothing
        opened.enter_context(METERS.reading("serving", lambda: serving_samples(*follower.seen())))
        opened.enter_context(METERS.reading("lookups", lookups.samples))
        opened.enter_context(stopping(threading.Event()))
        server.run(sockets=[http])


def crew_of(project: Project, serving: Callable[[], Serving], platform: str = sys.platform) -> Crew | None:
    """Those who answer; None where the system has not what bounds their memory: threads of this process answer there.

    It takes Linux: limits of private memory alone, and sockets that keep messages apart.
    """
    if platform != "linux":
        _log.warning(
            "queries run in this process, since %s cannot bound others as it has to be: they are only interrupted",
            platform,
        )
        return None
    return Crew(serving, project.settings.serving, project.settings.kernel.threads)


def _server(app: FastAPI, certificate: Certificate | None, settings: ServingSection) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop=LOOP,
        http=bounded(settings.connections),  # type: ignore[arg-type]  # what makes a protocol, as its class does
        log_config=None,  # as all else is logged
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=settings.query_seconds,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int, setting: str = "serving.port") -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises INPUT_INVALID where it is taken."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # bound is not enough: another process could still listen on the same address
    except OSError as error:
        listening.close()
        raise UserError(
            Condition.INPUT_INVALID,
            f"cannot listen on {host}:{port}: {error.strerror}",
            detail="a free port",
            hint=f"stop what listens there, or set {setting} (0 takes a free one)",
        ) from error
    return listening


def _write_address(project: Project, listening: socket.socket, protocol: str, postgres: socket.socket | None) -> None:
    host, port = listening.getsockname()[:2]
    said: dict[str, Any] = {
        "url": f"{protocol}{reached_at(host, port)}",
        "host": host,
        "port": port,
        "pid": os.getpid(),
    }
    if postgres is not None:
        said["pg_port"] = postgres.getsockname()[1]
        said["pg_url"] = f"postgresql://{reached_at(host, said['pg_port'])}/{DATABASE}"
    put_whole(project.state / ADDRESS, json.dumps(said) + "\n")
