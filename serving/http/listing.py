"""The views that there are, for clients: what each is, and what it rests on now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from seamline.serving.snapshot import ServedView, Snapshot
from seamline.serving.status import columns_of


def listed(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Every view: its columns, or why it cannot answer."""
    return [{"name": name, **_about(view)} for name, view in sorted(snapshot.views.items())]


def told(snapshot: Snapshot, name: str, now: datetime) -> dict[str, Any]:
    """One view, with its provenance. Raises like `Snapshot.view`."""
    served = snapshot.view(name)
    return {"name": name, **_about(served), "provenance": served.provenance(now).to_json()}


def _about(view: ServedView | Exception) -> dict[str, Any]:
    if not isinstance(view, ServedView):
        return {"error": str(view)}
    said = columns_of(view.definition)
    columns = [{"name": name, **one} for name, one in said.pop("columns").items()]
    keys = {key.name for key in view.definition.keys}
    about = {"stream": view.stream, "definition": view.definition.hash, "epoch": view.epoch, **said}
    owner = view.definition.properties.get("owner", "")
    return {**about, "owner": owner, "columns": [{**one, "key": one["name"] in keys} for one in columns]}
