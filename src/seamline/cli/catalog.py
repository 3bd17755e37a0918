"""`seamline catalog`: the project's data products, for people, documents and other catalogues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seamline.cli.catalogtext import html, markdown, percent_or_time
from seamline.console import note, say, show_json, show_table
from seamline.operate.products import DataProduct, kept, products, products_as_json
from seamline.operate.status import kafka_says
from seamline.schemas.project import load_project
from seamline.schemas.service_levels import ServiceLevel
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.serving.serving import Serving


class CatalogForm(StrEnum):
    """How a catalogue is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


TEXTS: Mapping[CatalogForm, Callable[[str, Sequence[DataProduct], Sequence[ServiceLevel]], str]] = {
    CatalogForm.MARKDOWN: markdown,
    CatalogForm.HTML: html,
}


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples("seamline catalog", "seamline catalog --format html --out catalog.html")
    app.command(name="catalog", epilog=shown)(catalog)


def catalog(
    project: ProjectOption = HERE,
    form: Annotated[CatalogForm, typer.Option("--format", help="How it is written.")] = CatalogForm.TABLE,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write markdown or HTML there.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the data products: owner, description, service levels and how they are kept, columns, and lineage."""
    loaded = load_project(project)
    found = products(loaded)
    measured = kept(found, Serving(loaded.lake, loaded.settings).status(kafka_says(loaded).ends))
    if as_json or form is CatalogForm.JSON:
        _json(found, measured)
    elif form is CatalogForm.TABLE:
        _table(found, measured)
    else:
        text = TEXTS[form](loaded.folder.name, found, measured)
        if out is None:
            say(text)
        else:
            out.write_text(text, encoding="utf-8")
            note(f"wrote {out}")


def _json(found: Sequence[DataProduct], measured: Sequence[ServiceLevel]) -> None:
    show_json(products_as_json(found, measured))


def _table(found: Sequence[DataProduct], measured: Sequence[ServiceLevel]) -> None:
    rows = [(f"{one.kind} {one.name}", one.owner, ", ".join(one.made_of), one.description) for one in found]
    show_table(("product", "owner", "made of", "description"), rows, most=80)
    if measured:
        say()
        told = [(k.product, k.promise.kind, k.promise.said, percent_or_time(k), _word(k)) for k in measured]
        show_table(("product", "promises", "limit", "is", "kept"), told, most=80)


def _word(one: ServiceLevel) -> str:
    return "not known" if one.found is None else "MISSED" if one.missed else "kept"
