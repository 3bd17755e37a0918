"""The routes of HTTP: who asks is known by the gate, and an `Asker` answers. docs/http.md describes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import StatelessLifespan

from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.serving.access.audited import audited
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.answering import QueryBody, answer
from seamline.serving.asking import Asker, Direct
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.follower import Follower
from seamline.serving.freshness import lag_seconds
from seamline.serving.gate import BODY_SECONDS, Gate, error_body
from seamline.serving.listing import listed, told
from seamline.serving.openapi import ANSWERS, DescribedRoutes

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
