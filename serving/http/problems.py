"""What is refused, and what fails, as answers of HTTP."""

from __future__ import annotations

from collections.abc import Set

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.serving.http.problem import Problem

STATUS_CODES: dict[Condition, int] = {
    Condition.VIEW_UNKNOWN: 404,
    Condition.QUERY_UNKNOWN: 404,
    Condition.LIMIT_REACHED: 429,
    Condition.SEAM_HOLE: 409,
    Condition.SEAM_OVERLAP: 409,
    Condition.KERNEL_VERSION: 409,
    Condition.OUT_OF_RETENTION: 410,
    Condition.VALUE_OUT_OF_RANGE: 422,
    Condition.QUERY_TIMEOUT: 504,
}
"""Other conditions: 400 for the user's, 503 for what may pass, 500 for the rest."""

_MEND = "docs/http.md describes the request"


def status_code(error: SeamlineError) -> int:
    """The HTTP status of an error."""
    if error.condition in STATUS_CODES:
        return STATUS_CODES[error.condition]
    if isinstance(error, UserError):
        return 400
    return 503 if isinstance(error, TransientError) else 500


def add_problems(app: FastAPI) -> None:
    """Has errors told in one form, whoever finds them."""
    app.add_exception_handler(SeamlineError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


def once(request: Request) -> None:
    """Refuses parameters of the address that a route does not have, or that come twice."""
    check_address_of(request, {one.alias for one in request.scope["route"].dependant.query_params})


def check_address_of(request: Request, known: Set[str]) -> None:
    """Raises INPUT_INVALID for a parameter of the address that is none of these, or comes twice."""
    for name, _ in request.query_params.multi_items():
        if name not in known or len(request.query_params.getlist(name)) > 1:
            wrong = "twice" if name in known else "which is no parameter here"
            raise UserError(
                Condition.INPUT_INVALID, f"{name} in the address, {wrong}", detail=", ".join(sorted(known)) or "none",
                hint=_MEND,
            )  # fmt: skip


async def _on_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, SeamlineError):
        raise error
    code = status_code(error)
    headers = {"Retry-After": "1"} if code in (429, 503) else None
    return Problem(error, code, headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    named = ".".join(str(part) for part in first["loc"] if part not in ("body", "query")) or "the request"
    allowed = ", ".join(_parameters(request.scope["route"]))
    wrong = UserError(Condition.INPUT_INVALID, f"{named}: {first['msg']}", detail=allowed, hint=_MEND)
    return Problem(wrong, 400)


def _parameters(route: APIRoute) -> list[str]:
    """What a route takes in its address, and in its body."""
    body = route.body_field.field_info.annotation if route.body_field else None
    return [*(one.alias for one in route.dependant.query_params), *getattr(body, "model_fields", ())]


async def _on_http(request: Request, error: Exception) -> Response:
    code, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    routes = [one for one in request.app.routes if isinstance(one, APIRoute)]
    allowed = "; ".join(f"{' or '.join(sorted(one.methods or ()))} {one.path}" for one in routes)
    if code == 405:  # Starlette names the methods of the first route of a path alone
        fitting = [one for one in routes if one.path_regex.match(request.url.path)]
        headers = {"Allow": ", ".join(sorted({method for one in fitting for method in one.methods or ()}))}
    wrong = UserError(
        Condition.INPUT_INVALID, f"{request.method} {request.url.path}", detail=allowed,
        hint="docs/http.md describes the routes",
    )  # fmt: skip
    return Problem(wrong, code, headers)
