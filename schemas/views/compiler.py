"""A view over its contracts, compiled: text, parsed, bound, checked, compiled, each from the one before it."""

from __future__ import annotations

from seamline.errors import UserError
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.views.bound import bind_view
from seamline.schemas.views.checked import check_view
from seamline.schemas.views.compiled import define
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.parsed import ParsedView, parse
from seamline.schemas.views.reserved_words import explained


def compile_view(view: ParsedView, *contracts: Contract, timeless: bool = False) -> Definition:
    """The definition of a view over its contracts; `timeless`: of one that is computed once, and so needs no time
    bucket. Pure, but that DuckDB binds it over no rows. Raises VIEW_INVALID."""
    try:
        return define(check_view(bind_view(view, contracts), timeless=timeless))
    except UserError as error:
        fields = {name for contract in contracts for name in event_schema(contract)}
        raise explained(
            view.source,
            error,
            lambda source: check_view(bind_view(parse(source), contracts), timeless=timeless),
            fields,
        ) from error
