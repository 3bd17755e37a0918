"""What anybody may ask: whether it lives, and whether clients are to be sent here."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse, Response

from seamline.serving.callers import LOCAL
from seamline.serving.freshness import lag_seconds
from seamline.serving.http.parts import Parts
from seamline.serving.http.problems import once

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not ready", "content": {"application/json": {}}}}


def add_health(app: FastAPI, parts: Parts) -> None:
    """`/healthz` and `/readyz`."""
    follower = parts.follower

    @app.get("/healthz", responses=NOT_READY, dependencies=[Depends(once)])
    async def healthz() -> Response:
        code, body = follower.health()
        return JSONResponse(_shown(body, parts), status_code=code)

    @app.get("/readyz", responses=NOT_READY, dependencies=[Depends(once)])
    async def readyz() -> Response:
        code, body = follower.health()
        lag = lag_seconds(parts.asker.snapshot(LOCAL), follower.clock()) if code == 200 else None
        late = follower.is_late(lag)
        told = {**_shown(body, parts), "ready": code == 200 and not late, "lag_seconds": lag}
        return JSONResponse(told, status_code=503 if late else code)


def _shown(body: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """As much of it as anybody may see."""
    if parts.access is not None and parts.access.required and "failing" in body:
        body = {**body, "failing": {key: body["failing"][key] for key in ("condition", "runbook")}}
    if parts.audit is not None and parts.audit.failure:
        body = {**body, "audit": "lines of the audit log are lost"}
    return body
