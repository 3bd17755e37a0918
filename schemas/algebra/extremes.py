"""The least and the greatest, by themselves or by another value, first and last, and the k of them.

Ties are settled by the value itself (`min_by`), or by position (`first`): never by what came first to a task.
"""

from __future__ import annotations

from collections.abc import Callable

from seamline.schemas.algebra.forms import ORDERED, Aggregate, Call, Form, canonical, single, storable


def _extreme(name: str) -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        if not storable(call.type):
            return None
        return single(f"{name}({{c}})", call.type, f"{name}({canonical('{x}', call.type)}){{filter}}", name)

    return form


EXTREMES = (
    Aggregate("min", "plain", ORDERED, _extreme("min"), "the least"),
    Aggregate("max", "plain", ORDERED, _extreme("max"), "the greatest"),
)
