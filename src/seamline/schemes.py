"""The kinds of store a lake may lie in, by the scheme of its URI, and how each reader is told of a place in one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse

from seamline.errors import Condition, UserError

SCHEMES: dict[str, str] = {"s3": "s3a", "gs": "gs", "abfss": "abfss", "file": "file"}
"""Every scheme, with Spark's own name for it. The store's clients take the URI as it is, with what their environment
says of keys and endpoints; a path without a scheme is a local folder's."""


def scheme(uri: str) -> str:
    """The scheme of a lake's URI, or nothing for a path. Raises CONFIG_INVALID for one that not every reader knows."""
    found = urlparse(uri).scheme if "://" in uri else ""
    if found and found not in SCHEMES:
        raise UserError(
            Condition.CONFIG_INVALID,
            f"{found}:// is no store for a lake",
            detail=", ".join(["a path", *(f"{one}://" for one in SCHEMES)]),
            hint="see lake.uri in docs/configuration.md",
            where=uri,
        )
    return found


def filesystem(place: str) -> tuple[Any, str]:
    """Where a full path or URI lies, for pyarrow: the file system, and the path in it."""
    from pyarrow import fs  # a tenth of a second, for object stores only

    files, inner = fs.FileSystem.from_uri(place)
    return files, str(inner)


def spark_uri(place: str) -> str:
    """A full path or URI as Spark names it: always with a scheme, its own clients' one."""
    kind, found, rest = place.partition("://")
    return f"{SCHEMES.get(kind, kind)}://{rest}" if found else f"file://{place}"
