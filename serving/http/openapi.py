"""What the HTTP routes say of themselves (`/openapi.json`), as they are: errors too."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from seamline.serving.encode import FORMATS
from seamline.serving.http.problem import MEDIA

FIELDS = ("type", "title", "status", "condition", "message", "detail", "hint", "runbook")
ERROR = {
    "type": "object",
    "required": list(FIELDS),
    "properties": {name: {"type": "integer" if name == "status" else "string"} for name in (*FIELDS, "where")},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer",
        "content": {form.media.partition(";")[0]: {} for form in FORMATS.values()},
        "headers": {"ETag": {"schema": {"type": "string"}}},
    },
    304: {"description": "The answer is still what If-None-Match says"},
}
"""Of a query."""


class DescribedRoutes(FastAPI):
    """Routes whose errors all have one form."""

    def openapi(self) -> dict[str, Any]:
        """The description: whatever a route refuses is an error of ours, never FastAPI's 422."""
        made = super().openapi()
        made.get("components", {}).get("schemas", {}).pop("HTTPValidationError", None)
        made.get("components", {}).get("schemas", {}).pop("ValidationError", None)
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                for codes in ("4XX", "5XX"):
                    content = {MEDIA: {"schema": ERROR}}
                    operation["responses"][codes] = {"description": "An error", "content": content}
        return made
