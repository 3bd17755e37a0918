"""A connection to a serving role, over HTTP."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa

from seamline.client.liveupdates import check_asked, events, update_of
from seamline.client.spelling import in_address, key_text, spelled
from seamline.connection import Connection, LiveUpdate, NamedQuery, Scalar, Values, named_query
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.kernel import fold
from seamline.result import Result
from seamline.serving.encode import PROVENANCE, WARNINGS
from seamline.serving.provenance import check_json

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""How an Arrow stream ends: one without it was cut off, whatever can be read of it."""


class Remote(Connection):
    """Asks a role. Its token is in no text of it."""

    def __init__(
        self, url: str, token: str | None, trusted: ssl.SSLContext | bool = True, timeout: float = 60.0
    ) -> None:
        """`trusted`: whose certificates are believed. `timeout`: seconds between two signs of life.

        Raises INPUT_INVALID for what cannot be a token or a URL.
        """
        headers = {} if token is None else {"Authorization": f"Bearer {_clean(token)}"}
        try:
            self._client = httpx.Client(base_url=url, headers=headers, verify=trusted, timeout=timeout)
        except httpx.InvalidURL as error:
            raise UserError(Condition.INPUT_INVALID, f"the URL: {error}", detail="http://host:port") from error

    def query(self, sql: str, parameters: Values = (), *, as_of: int | None = None) -> Result:
        """As `Connection.query` has it."""
        body: dict[str, Any] = {"sql": sql, "format": "arrow"}
        body |= {"as_of": as_of} if as_of is not None else {}
        body |= {"parameters": spelled(parameters)} if parameters else {}
        return _result(self._said("POST", "/v1/query", json=body).content)

    def ask(self, name: str, parameters: Mapping[str, Scalar] | None = None, *, as_of: int | None = None) -> Result:
        """As `Connection.ask` has it."""
        said = {**in_address(parameters or {}), "format": "arrow"} | (
            {"as_of": str(as_of)} if as_of is not None else {}
        )
        return _result(self._said("GET", f"/v1/queries/{quote(name, safe='')}", params=said).content)

    def lookup(
        self,
        view: str,
        *key: Scalar,
        since: Scalar = None,
        until: Scalar = None,
        columns: Sequence[str] = (),
        limit: int | None = None,
    ) -> Result:
        """As `Connection.lookup` has it. Raises what it raises."""
        said: list[tuple[str, str]] = [("key", key_text(one)) for one in key]
        said += [(name, key_text(one)) for name, one in (("from", since), ("to", until)) if one is not None]
        said += [("columns", ",".join(columns))] if columns else []
        said += [("limit", str(limit))] if limit is not None else []
        path = f"/v1/views/{quote(fold(view), safe='')}/rows"
        return _result(self._said("GET", path, params=[*said, ("format", "arrow")]).content)

    def queries(self) -> tuple[NamedQuery, ...]:
        """As `Connection.queries` has it."""
        return tuple(map(named_query, self._said("GET", "/v1/queries").json()["queries"]))

    def live(
        self, sql: str | None = None, parameters: Values = (), *, view: str | None = None, after: str = ""
    ) -> Iterator[LiveUpdate]:
        """As `Connection.live` has it."""
        check_asked(sql, view)
        body: dict[str, Any] = {"sql": sql, "parameters": spelled(parameters)} if sql is not None else {"view": view}
        head = {"Last-Event-ID": after} if after else {}
        try:
            with self._client.stream("POST", "/v1/live", json=body, headers=head) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise told(answer)
                for event in events(answer.iter_lines()):
                    yield update_of(*event)
        except httpx.TransportError as error:
            raise self._away(str(error) or type(error).__name__) from error
        raise self._away("the events were cut off")

    def status(self) -> Mapping[str, Any]:
        """As `Connection.status` has it."""
        found: Mapping[str, Any] = self._said("GET", "/v1/status").json()
        return found

    def close(self) -> None:
        """Ends its connections."""
        self._client.close()

    def _said(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.TransportError as error:
            raise self._away(str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            raise told(answer)
        return answer

    def _away(self, why: str) -> TransientError:
        return TransientError(
            Condition.SERVING_UNAVAILABLE,
            f"{self._client.base_url}: {why}",
            detail="a serving role that answers there",
            hint="see whether it runs: seamline status",
        )


def told(answer: httpx.Response) -> SeamlineError:
    """The error that an answer tells, as it would be raised beside the lake."""
    try:
        said = answer.json()
        condition, message = str(said["condition"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        condition, message = "", f"an answer of status {answer.status_code} that is none of a serving role's"
    known = condition in Condition.__members__
    kind: type[SeamlineError] = UserError
    if answer.status_code in (409, 500) or answer.status_code > 504:
        kind = TerminalError
    elif answer.status_code in (429, 502, 503):
        kind = TransientError
    return kind(
        Condition(condition) if known else Condition.UNEXPECTED,
        message if known or not condition else f"{condition}: {message}",
        **({key: str(said.get(key, "")) for key in ("detail", "hint", "where")} if condition else {}),
    )


def _result(data: bytes) -> Result:
    """Raises SERVING_UNAVAILABLE where it is not all of an answer, SEAM_HOLE or SEAM_OVERLAP as `check_json` does."""
    try:
        table = pa.ipc.open_stream(data).read_all()
    except (pa.ArrowInvalid, OSError):
        table = None
    if table is None or not data.endswith(END_OF_STREAM):
        raise TransientError(Condition.SERVING_UNAVAILABLE, "the answer was cut off", hint="ask again")
    said = {key.decode(): json.loads(text) for key, text in (table.schema.metadata or {}).items()}
    for one in said[PROVENANCE].values():
        check_json(one)
    return Result(table.replace_schema_metadata(None), said[PROVENANCE], tuple(said.get(WARNINGS, ())))


def _clean(token: str) -> str:
    text = token.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UserError(
            Condition.INPUT_INVALID, "what is given as token cannot be one", detail="seam_ and 49 letters and digits",
            hint="'seamline tokens create' prints one",
        )  # fmt: skip
    return text
