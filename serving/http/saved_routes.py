"""Saved queries: what there are, and their answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from seamline.serving.asking import Ask
from seamline.serving.callers import Caller
from seamline.serving.http.answering import answer_to
from seamline.serving.http.openapi import ANSWERS
from seamline.serving.http.parts import Parts
from seamline.serving.http.problems import check_address_of, once
from seamline.serving.saved import OPTIONS, SavedQuery, allowed_queries, saved_query

PARAMETERS: dict[str, Any] = {
    "parameters": [
        {
            "name": "parameters",
            "in": "query",
            "description": "the query's own parameters, each by its name, as /v1/queries lists them",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}


def add_saved(app: FastAPI, parts: Parts) -> None:
    """`/v1/queries` and `/v1/queries/{name}`."""

    @app.get("/v1/queries", dependencies=[Depends(once)])
    async def queries(request: Request) -> Response:
        found = allowed_queries(parts.queries, request.state.caller)
        return JSONResponse({"queries": [one.to_json() for one in found]})

    @app.get("/v1/queries/{name}", responses=ANSWERS, openapi_extra=PARAMETERS)
    async def ask_saved(
        request: Request,
        name: str,
        format: Annotated[str, Query()] = "json",  # noqa: A002 - the parameter's public name
        max_rows: Annotated[int | None, Query(gt=0)] = None,
        timeout: Annotated[float | None, Query(gt=0)] = None,
        as_of: Annotated[int | None, Query()] = None,
        at_least: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        saved = saved_query(parts.queries, name, request.state.caller)
        said = given_to(saved, request)
        asked = Ask(
            saved.sql, asking(saved, request.state.caller), saved.values(said), format, as_of, at_least, max_rows,
            timeout, saved.name,
        )  # fmt: skip
        return await answer_to(parts.asker, asked, request)


def given_to(saved: SavedQuery, request: Request, options: frozenset[str] = OPTIONS) -> dict[str, str]:
    """What an address says of a query's parameters. Raises INPUT_INVALID for others, and for one that comes twice."""
    names = {one.name for one in saved.parameters}
    check_address_of(request, names | options)
    return {name: value for name, value in request.query_params.items() if name in names}


def asking(saved: SavedQuery, caller: Caller) -> Caller:
    """Who asks a saved query: they see its views in it and nowhere else, of these the rows that are theirs."""
    return replace(caller, views=saved.views)
