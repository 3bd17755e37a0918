"""The HTTP role: FastAPI over one `Serving`, with a thread that follows the ledger. docs/http.md describes it."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import StatelessLifespan

from seamline.addresses import reached_at
from seamline.clock import Clock, system_clock
from seamline.config import OFF, Settings
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.lake import Lake
from seamline.observe.meters import METERS
from seamline.private import put_whole
from seamline.schemas.project import ADDRESS, Project
from seamline.serving.access.auditlog import AuditLog, audit_log
from seamline.serving.access.authentication import Access
from seamline.serving.access.certificate import certificate_of
from seamline.serving.access.opening import check_open
from seamline.serving.access.store import tokens_of
from seamline.serving.asking import Direct
from seamline.serving.callers import Caller
from seamline.serving.encode import FORMATS
from seamline.serving.gate import BODY_SECONDS, Gate, error_body
from seamline.serving.samples import serving_samples
from seamline.serving.serving import Serving
from seamline.serving.wire.port import open_port
from seamline.serving.wire.wired import DATABASE
from seamline.signals import stopping

STATUS_CODES: dict[Condition, int] = {
    Condition.VIEW_UNKNOWN: 404,
    Condition.SEAM_HOLE: 409,
    Condition.SEAM_OVERLAP: 409,
    Condition.KERNEL_VERSION: 409,
    Condition.OUT_OF_RETENTION: 410,
    Condition.VALUE_OUT_OF_RANGE: 422,
    Condition.QUERY_TIMEOUT: 504,
}
"""Other conditions: 400 for the user's, 503 for what may pass, 500 for the rest."""

_log = logging.getLogger("seamline.serving")


class QueryBody(BaseModel):
    """The body of POST /v1/query."""

    model_config = ConfigDict(extra="forbid")

    sql: str
    format: str = "json"
    as_of: int | None = None


@dataclass(frozen=True)
class Followed:
    """How far a follower has come."""

    serving: Serving | None = None
    """None until the first snapshot is made."""

    looked: datetime | None = None
    """When the ledger was looked at last without a failure."""

    failure: SeamlineError | None = None
    """What has kept the looks since then from it."""


class Follower:
    """Keeps one `Serving` up to date, in a thread. A look that fails leaves the snapshot before; /healthz tells.

    What other threads see changes as one value, at the end of each look.
    """

    def __init__(self, lake: Lake, settings: Settings, clock: Clock = system_clock) -> None:
        self._open: Callable[[], Serving] = partial(Serving, lake, settings, clock)
        self._pause = settings.serving.pace(lake.uri).poll.total_seconds()
        self._clock = clock
        self._stop = threading.Event()
        self._followed = Followed()
        self._thread = threading.Thread(target=self._run, name="follow-ledger", daemon=True)

    def start(self) -> None:
        """Starts to follow; the first snapshot is made in the thread too."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the look it is at."""
        self._stop.set()
        self._thread.join(timeout=10)
        if self._followed.serving is not None:
            self._followed.serving.close()

    @property
    def serving(self) -> Serving:
        """Raises VIEW_NOT_READY until the first snapshot is made, or what keeps it from being made."""
        followed = self._followed
        if followed.serving is None:
            raise followed.failure or TransientError(
                Condition.VIEW_NOT_READY, "the first snapshot is being loaded", hint="ask again in a moment"
            )
        return followed.serving

    def seen(self) -> tuple[Serving | None, datetime | None]:
        """What is served, and when the ledger was looked at last; None before the first time."""
        followed = self._followed
        return followed.serving, followed.looked

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status code and body of /healthz: ready once a snapshot is loaded."""
        followed = self._followed
        ready, looked = followed.serving is not None, followed.looked
        body: dict[str, Any] = {"ready": ready, "looked": looked.isoformat() if looked else None}
        if followed.failure is not None:
            body["failing"] = error_body(followed.failure)
        return (200 if ready else 503), body

    def _run(self) -> None:
        while not self._stop.is_set():
            self._followed = self._look(self._followed)
            self._stop.wait(self._pause)

    def _look(self, before: Followed) -> Followed:
        try:
            return Followed(self._caught_up(before.serving), self._clock())
        except SeamlineError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a thread that dies in silence would serve stale answers for ever
            failure = TerminalError(Condition.KERNEL_FAILED, f"{type(error).__name__}: {error}")
        if str(failure) != str(before.failure):
            _log.error("cannot follow the ledger: %s", failure)
        return replace(before, failure=failure)

    def _caught_up(self, serving: Serving | None) -> Serving:
        """Ready for queries over the newest snapshot; it is opened where there is none yet."""
        if serving is None:
            serving = self._open()
            serving.prepare()
        elif serving.catch_up():
            serving.prepare()
        return serving


def status_code(error: SeamlineError) -> int:
    """The HTTP status of an error."""
    if error.condition in STATUS_CODES:
        return STATUS_CODES[error.condition]
    if isinstance(error, UserError):
        return 400
    return 503 if isinstance(error, TransientError) else 500


def create_app(
    follower: Follower,
    hosts: Collection[str] = (),
    body_seconds: float = BODY_SECONDS,
    access: Access | None = None,
    audit: AuditLog | None = None,
    lifespan: StatelessLifespan[FastAPI] | None = None,
) -> FastAPI:
    """The routes over a follower. hosts: names that it may be asked by, beside localhost and the address it has.
    access: who may ask; None: whoever reaches it. audit: where it is kept who asked what. lifespan: what runs beside
    the routes, in their loop."""
    app = FastAPI(title="Seamline", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Gate, hosts=hosts, seconds=body_seconds, access=access, audit=audit)
    app.add_exception_handler(SeamlineError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)

    @app.get("/v1/query")
    def query_by_get(
        request: Request,
        sql: Annotated[str, Query()],
        format: Annotated[str, Query()] = "json",  # noqa: A002 - the parameter's public name
        as_of: Annotated[int | None, Query()] = None,
    ) -> Response:
        return answer(follower.serving, QueryBody(sql=sql, format=format, as_of=as_of), request.state.caller)

    @app.post("/v1/query")
    def query_by_post(request: Request, ask: QueryBody) -> Response:
        return answer(follower.serving, ask, request.state.caller)

    @app.get("/v1/status")
    def status(request: Request) -> Response:
        caller: Caller = request.state.caller
        return JSONResponse(follower.serving.status().only(caller.views).to_json())

    @app.get("/healthz")
    def healthz() -> Response:
        code, body = follower.health()
        if access is not None and access.required and "failing" in body:
            body["failing"] = {key: body["failing"][key] for key in ("condition", "runbook")}
        if audit is not None and audit.failure:
            body["audit"] = "lines of the audit log are lost"
        return JSONResponse(body, status_code=code)

    return app


def answer(serving: Serving, ask: QueryBody, caller: Caller) -> Response:
    """One answer in the format that was asked for. Raises what `Serving.query` raises, INPUT_INVALID for the format."""
    if ask.format not in FORMATS:
        raise UserError(
            Condition.INPUT_INVALID, f"format {ask.format!r}", detail=", ".join(FORMATS), hint="name one of these"
        )
    form = FORMATS[ask.format]
    found = serving.query(ask.sql, as_of=ask.as_of, caller=caller)
    headers = {}
    if not form.carries_provenance:
        headers["Seamline-Provenance"] = json.dumps(found.provenance.to_json(links=False))
        if found.warnings:
            headers["Seamline-Warnings"] = json.dumps(found.warnings)
    return Response(form.encode(found), media_type=form.media, headers=headers)


def run_serving(project: Project) -> None:
    """Serves a project until SIGTERM or SIGINT: requests that are running are finished first.

    Raises INPUT_INVALID where the port is taken. The address is in `.seamline/serving.json` while it runs.
    """
    settings = project.settings.serving
    access = Access(tokens_of(project.folder, project.settings))
    check_open(settings.host, access)
    certificate = certificate_of(project)
    listening = listen(settings.host, settings.port)
    address = project.state / ADDRESS
    postgres = None if settings.pg_port == OFF else listen(settings.host, settings.pg_port, "serving.pg_port")
    _write_address(project, listening, "https://" if certificate else "http://", postgres)
    audit = audit_log(project.state, project.settings)
    follower = Follower(project.lake, project.settings)
    follower.start()
    tls = certificate.context if certificate else None

    @asynccontextmanager
    async def beside(_: FastAPI) -> AsyncIterator[None]:
        if postgres is None:
            yield
            return
        async with open_port(postgres, Direct(lambda: follower.serving), access, tls, settings.query_seconds):
            yield

    page = METERS.reading("serving", lambda: serving_samples(*follower.seen()))
    config = uvicorn.Config(
        create_app(follower, [settings.host, *settings.hosts], access=access, audit=audit, lifespan=beside),
        log_config=None,  # as all else is logged
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=settings.query_seconds,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
    )
    try:  # uvicorn stops on both, then raises them again for the handlers that stood before: those do nothing
        with page, stopping(threading.Event()):
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        follower.stop()
        if audit is not None:
            audit.close()
        address.unlink(missing_ok=True)
        for one in filter(None, (listening, postgres)):
            one.close()


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


async def _on_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, SeamlineError):
        raise error
    code = status_code(error)
    headers = {"Retry-After": "1"} if code == 503 else None
    return JSONResponse(error_body(error), status_code=code, headers=headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    named = ".".join(str(part) for part in first["loc"] if part not in ("body", "query")) or "the request"
    wrong = UserError(
        Condition.INPUT_INVALID, f"{named}: {first['msg']}", detail="sql (text), format, as_of (an epoch's number)",
        hint="docs/http.md describes the request",
    )  # fmt: skip
    return JSONResponse(error_body(wrong), status_code=400)


async def _on_http(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    wrong = UserError(
        Condition.INPUT_INVALID, f"{request.method} {request.url.path}",
        detail="GET or POST /v1/query, GET /v1/status, GET /healthz", hint="docs/http.md describes them",
    )  # fmt: skip
    return JSONResponse(error_body(wrong), status_code=code)
