"""The HTTP role: FastAPI over one `Serving`, with a thread that follows the ledger. docs/http.md describes it."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import StatelessLifespan

from seamline.addresses import reached_at
from seamline.config import OFF
from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.observe.meters import METERS
from seamline.private import put_whole
from seamline.schemas.project import ADDRESS, Project
from seamline.serving.access.audited import audited
from seamline.serving.access.auditlog import AuditLog, audit_log
from seamline.serving.access.authentication import Access
from seamline.serving.access.certificate import certificate_of
from seamline.serving.access.opening import check_open
from seamline.serving.access.policies import load_policies
from seamline.serving.access.store import tokens_of
from seamline.serving.answering import QueryBody, answer
from seamline.serving.asking import Asker, Direct
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.follower import Follower
from seamline.serving.freshness import lag_seconds
from seamline.serving.gate import BODY_SECONDS, Gate, error_body
from seamline.serving.listing import listed, told
from seamline.serving.openapi import ANSWERS, DescribedRoutes
from seamline.serving.samples import serving_samples
from seamline.serving.wire.port import open_port
from seamline.serving.wire.wired import DATABASE
from seamline.serving.workers.crew import Crew
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
    asker: Asker | None = None,
    lifespan: StatelessLifespan[FastAPI] | None = None,
) -> FastAPI:
    """The routes over a follower. hosts: names that it may be asked by, beside localhost and the address it has.
    access: who may ask; None: whoever reaches it. audit: where it is kept who asked what. asker: who answers; None:
    threads of this process. lifespan: what runs beside the routes, in their loop."""
    app = DescribedRoutes(title="Seamline", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Gate, hosts=hosts, seconds=body_seconds, access=access, audit=audit)
    app.add_exception_handler(SeamlineError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    answering = audited(asker or Direct(lambda: follower.serving), audit, "http")

    @app.get("/v1/query", responses=ANSWERS, dependencies=[Depends(once)])
    async def query_by_get(
        request: Request,
        sql: Annotated[str, Query()],
        format: Annotated[str, Query()] = "json",  # noqa: A002 - the parameter's public name
        max_rows: Annotated[int | None, Query(gt=0)] = None,
        timeout: Annotated[float | None, Query(gt=0)] = None,
        as_of: Annotated[int | None, Query()] = None,
        at_least: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        body = QueryBody(
            sql=sql, parameters=[], format=format, max_rows=max_rows, timeout=timeout, as_of=as_of, at_least=at_least
        )  # fmt: skip
        return await answer(answering, body, request)

    @app.post("/v1/query", responses=ANSWERS, dependencies=[Depends(once)])
    async def query_by_post(request: Request, body: QueryBody) -> Response:
        return await answer(answering, body, request)

    @app.get("/v1/views", dependencies=[Depends(once)])
    async def views(request: Request) -> Response:
        return JSONResponse({"views": listed(answering.snapshot(request.state.caller))})

    @app.get("/v1/views/{name}", dependencies=[Depends(once)])
    async def view(request: Request, name: str) -> Response:
        return JSONResponse(told(answering.snapshot(request.state.caller), name, follower.clock()))

    @app.get("/v1/status", dependencies=[Depends(once)])
    def status(request: Request) -> Response:
        caller: Caller = request.state.caller
        return JSONResponse(follower.serving.status().only(caller.views).to_json())

    _add_health(app, follower, answering, audit, access)
    return app


def _add_health(app: FastAPI, follower: Follower, asker: Asker, audit: AuditLog | None, access: Access | None) -> None:
    """The routes that anybody may ask."""

    @app.get("/healthz", dependencies=[Depends(once)])
    async def healthz() -> Response:
        code, body = follower.health()
        return JSONResponse(_shown(body), status_code=code)

    @app.get("/readyz", dependencies=[Depends(once)])
    async def readyz() -> Response:
        code, body = follower.health()
        lag = lag_seconds(asker.snapshot(LOCAL), follower.clock()) if code == 200 else None
        late = follower.is_late(lag)
        told = {**_shown(body), "ready": code == 200 and not late, "lag_seconds": lag}
        return JSONResponse(told, status_code=503 if late else code)

    def _shown(body: dict[str, Any]) -> dict[str, Any]:
        if access is not None and access.required and "failing" in body:
            body = {**body, "failing": {key: body["failing"][key] for key in ("condition", "runbook")}}
        if audit is not None and audit.failure:
            body = {**body, "audit": "lines of the audit log are lost"}
        return body


def once(request: Request) -> None:
    """Refuses parameters of the address that a route does not have, or that come twice."""
    known = {one.alias for one in request.scope["route"].dependant.query_params}
    for name, _ in request.query_params.multi_items():
        if name not in known or len(request.query_params.getlist(name)) > 1:
            wrong = "twice" if name in known else "which is no parameter here"
            raise UserError(
                Condition.INPUT_INVALID, f"{name} in the address, {wrong}", detail=", ".join(sorted(known)) or "none",
                hint="docs/http.md describes the request",
            )  # fmt: skip


def run_serving(project: Project) -> None:
    """Serves a project until SIGTERM or SIGINT: requests that are running are finished first.

    Raises INPUT_INVALID where the port is taken. The address is in `.seamline/serving.json` while it runs.
    """
    settings = project.settings.serving
    access = Access(tokens_of(project.folder, project.settings), load_policies(project.folder))
    check_open(settings.host, access)
    certificate = certificate_of(project)
    listening = listen(settings.host, settings.port)
    address = project.state / ADDRESS
    postgres = None if settings.pg_port == OFF else listen(settings.host, settings.pg_port, "serving.pg_port")
    _write_address(project, listening, "https://" if certificate else "http://", postgres)
    audit = audit_log(project.state, project.settings)
    crew = Crew(lambda: follower.serving, settings, project.settings.kernel.threads)
    follower = Follower(project.lake, project.settings, ready=crew.publish)
    follower.start()
    tls = certificate.context if certificate else None

    @asynccontextmanager
    async def besides(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as beside:
            await beside.enter_async_context(crew)
            if postgres is not None:
                port = open_port(postgres, audited(crew, audit, "postgres"), access, tls, settings.query_seconds)
                await beside.enter_async_context(port)
            yield

    page = METERS.reading("serving", lambda: serving_samples(*follower.seen()))
    named = [settings.host, *settings.hosts]
    app = create_app(follower, named, access=access, audit=audit, asker=crew, lifespan=besides)
    config = uvicorn.Config(
        app,
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
        Condition.INPUT_INVALID, f"{named}: {first['msg']}",
        detail="sql (text), parameters, format, max_rows, timeout, as_of, at_least",
        hint="docs/http.md describes the request",
    )  # fmt: skip
    return JSONResponse(error_body(wrong), status_code=400)


async def _on_http(request: Request, error: Exception) -> Response:
    code, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    wrong = UserError(
        Condition.INPUT_INVALID, f"{request.method} {request.url.path}",
        detail="GET or POST /v1/query; GET /v1/views, /v1/views/NAME, /v1/status, /healthz, /readyz",
        hint="docs/http.md describes them",
    )  # fmt: skip
    return JSONResponse(error_body(wrong), status_code=code, headers=headers)
