"""An error as an answer of HTTP: RFC 9457, with the members that errors have everywhere else beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from seamline.errors import SeamlineError

MEDIA = "application/problem+json"


class Problem(JSONResponse):
    """An error's answer. Nobody is to keep it."""

    media_type = MEDIA

    def __init__(self, error: SeamlineError, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem_of(error, status), status, {"Cache-Control": "no-store", **(headers or {})})


def problem_of(error: SeamlineError, status: int) -> dict[str, Any]:
    """`type` and `title` follow from the condition alone, `message` is what was found, `detail` what is allowed."""
    title = str(error.condition).replace("_", " ").capitalize()
    return {"type": f"urn:seamline:{error.condition}", "title": title, "status": status, **error.to_json()}
