"""Queries: SQL that comes with the request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response

from seamline.serving.http.answering import QueryBody, answer
from seamline.serving.http.openapi import ANSWERS
from seamline.serving.http.parts import Parts
from seamline.serving.http.problems import once


def add_queries(app: FastAPI, parts: Parts) -> None:
    """`/v1/query`, by GET and by POST."""

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
        return await answer(parts.asker, body, request)

    @app.post("/v1/query", responses=ANSWERS, dependencies=[Depends(once)])
    async def query_by_post(request: Request, body: QueryBody) -> Response:
        return await answer(parts.asker, body, request)
