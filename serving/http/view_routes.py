"""What is served: the views there are, and how far each is."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from seamline.serving.callers import Caller
from seamline.serving.http.listing import listed, told
from seamline.serving.http.parts import Parts
from seamline.serving.http.problems import once


def add_views(app: FastAPI, parts: Parts) -> None:
    """`/v1/views`, `/v1/views/{name}` and `/v1/status`."""

    @app.get("/v1/views", dependencies=[Depends(once)])
    async def views(request: Request) -> Response:
        return JSONResponse({"views": listed(parts.asker.snapshot(request.state.caller))})

    @app.get("/v1/views/{name}", dependencies=[Depends(once)])
    async def view(request: Request, name: str) -> Response:
        return JSONResponse(told(parts.asker.snapshot(request.state.caller), name, parts.follower.clock()))

    @app.get("/v1/status", dependencies=[Depends(once)])
    def status(request: Request) -> Response:
        caller: Caller = request.state.caller
        return JSONResponse(parts.follower.serving.status().only(caller.views).to_json())
