"""Asks queries while everything happens, and keeps what was answered, to be held against the truth afterwards.

Each answer's provenance must be one unbroken chain: that is checked here, from the answer alone.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from seamline.frontier import Frontier
from seamline.segment import Segment, check_seam


@dataclass(frozen=True)
class Evidence:
    """One answer: its values, and what its provenance says of it."""

    values: tuple[Any, ...]
    version: int | None
    cut: Frontier
    reached: Frontier
    epoch: int
    links: int


class Witness:
    """Asks one counting query again and again in a thread of its own, until stopped.

    `failures` are answers whose chain is broken. A request that gets no answer (a role starts again) is none.
    """

    def __init__(self, address: str, view: str, select: str, pause: float = 0.2) -> None:
        self.view = view
        self.select = select
        self.testimonies: list[Evidence] = []
        self.failures: list[str] = []
        self._client = httpx.Client(base_url=address, timeout=20)
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def latest(self) -> Evidence | None:
        """The newest answer."""
        return self.testimonies[-1] if self.testimonies else None

    def ask(self, sql: str = "", as_of: int | None = None) -> Evidence:
        """One answer now, or as of a past epoch. Raises httpx.HTTPError, and TerminalError for a broken chain."""
        body: dict[str, Any] = {"sql": sql or self.select, "format": "json"}
        if as_of is not None:
            body["as_of"] = as_of
        response = self._client.post("/v1/query", json=body)
        response.raise_for_status()
        return testimony(response.json(), self.view)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.testimonies.append(self.ask())
            except httpx.HTTPStatusError as error:
                text = error.response.text
                if "VIEW_NOT_READY" not in text and error.response.status_code != 503:
                    self.failures.append(text)
            except httpx.HTTPError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever is wrong with an answer is what a witness reports
                self.failures.append(f"{type(error).__name__}: {error}")


def testimony(answer: Mapping[str, Any], view: str) -> Evidence:
    """Reads one JSON answer and checks its chain. Raises SEAM_HOLE or SEAM_OVERLAP."""
    said = answer["provenance"][view]
    links = [_link(said["definition"], link) for link in said["links"]]
    cut, reached = Frontier.from_json(said["cut"]), Frontier.from_json(said["reached"])
    check_seam(cut, links)
    if (links[-1].end if links else cut) != reached:
        raise ValueError(f"the chain ends at {links[-1].end if links else cut}, the answer says {reached}")
    values = tuple(tuple(row) for row in answer["rows"])
    last = links[-1].last if links else 0
    return Evidence(values, said["version"], cut, reached, last, len(links))


def _link(definition: str, link: Mapping[str, Any]) -> Segment:
    first, last = link["epochs"]
    return Segment(definition, Frontier.from_json(link["start"]), Frontier.from_json(link["end"]), first, last)
