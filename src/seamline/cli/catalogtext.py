"""A catalogue of data products as markdown, and as one HTML page that needs nothing besides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from seamline.operate.products import DataProduct
from seamline.schemas.service_levels import ServiceLevel
from seamline.wording import duration

_STYLE = """\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{border-bottom:1px solid #ddd;padding:.2rem .8rem;text-align:left}
code{background:#f4f4f4;padding:0 .2rem}.missed{color:#b00;font-weight:bold}section{margin-top:2.5rem}
"""


def markdown(title: str, products: Sequence[DataProduct], measured: Sequence[ServiceLevel]) -> str:
    """For a repository or a wiki."""
    parts = [f"# {_md(title)}"]
    for one in products:
        parts.append(f"## {one.kind} {_md(one.name)}")
        parts += [_md(one.description)] if one.description else []
        parts.append("\n".join(f"- {name}: {_md(value)}" for name, value in _facts(one)))
        kept = [(k.promise.kind, k.promise.said, percent_or_time(k), _word(k)) for k in _of(one, measured)]
        parts += [_md_table(("promises", "limit", "is", "kept"), kept)] if kept else []
        parts.append(_md_table(_COLUMNS, _columns(one)))
    return "\n\n".join(parts)


def html(title: str, products: Sequence[DataProduct], measured: Sequence[ServiceLevel]) -> str:
    """One page: all text is escaped, links lead within it, and no other address is asked."""
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<ul>{''.join(f'<li>{_link(one.kind, one.name)}</li>' for one in products)}</ul>",
    ]
    for one in products:
        parts.append(f'<section id="{_anchor(one.kind, one.name)}"><h2>{one.kind} {escape(one.name)}</h2>')
        parts.append(f"<p>{escape(one.description)}</p>" if one.description else "")
        facts = [(escape(name), escape(value)) for name, value in _facts(one) if name != "made of"]
        made_of = ", ".join(_source(source, products) for source in one.made_of)
        parts.append(_html_table((), [*facts, ("made of", made_of)]))
        kept = [(k.promise.kind, escape(k.promise.said), percent_or_time(k), _marked(k)) for k in _of(one, measured)]
        parts.append(_html_table(("promises", "limit", "is", "kept"), kept) if kept else "")
        parts.append(_html_table(_COLUMNS, [[escape(cell) for cell in row] for row in _columns(one)]))
        parts.append("</section>")
    return "\n".join([*(part for part in parts if part), "</body></html>"])


def percent_or_time(one: ServiceLevel) -> str:
    """How a promise is kept, in its unit."""
    if one.found is None:
        return ""
    return duration(one.found) if one.promise.kind == "freshness" else f"{one.found:.2%}"


_COLUMNS = ("column", "type", "exactness", "comment")


def _columns(one: DataProduct) -> list[tuple[str, ...]]:
    return [
        (c.name, c.type, f"{c.exactness} ({c.bound})" if c.bound else c.exactness, c.comment) for c in one.columns
    ]  # fmt: skip


def _facts(one: DataProduct) -> Iterable[tuple[str, str]]:
    said = {
        "owner": one.owner, "tags": ", ".join(one.tags), "stream": one.stream, "made of": ", ".join(one.made_of),
        "definition": one.definition or "", "batch version": "" if one.version is None else str(one.version),
    }  # fmt: skip
    return [(name, value) for name, value in said.items() if value]


def _of(one: DataProduct, measured: Iterable[ServiceLevel]) -> list[ServiceLevel]:
    return [kept for kept in measured if kept.product == f"{one.kind} {one.name}"]


def _word(one: ServiceLevel) -> str:
    return "not known" if one.found is None else "missed" if one.missed else "kept"


def _marked(one: ServiceLevel) -> str:
    return f'<span class="missed">{_word(one)}</span>' if one.missed else _word(one)


def _anchor(kind: str, name: str) -> str:
    return escape(f"{kind}-{name}", quote=True)


def _link(kind: str, name: str) -> str:
    return f'<a href="#{_anchor(kind, name)}">{kind} {escape(name)}</a>'


def _source(source: str, products: Iterable[DataProduct]) -> str:
    kind, _, name = source.partition(" ")
    known = any((one.kind, one.name) == (kind, name) for one in products)
    return _link(kind, name) if known else escape(source)


def _html_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are HTML already."""
    head = f"<tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr>" if columns else ""
    return f"<table>{head}{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in row)


def _md_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_md(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _md(text: str) -> str:
    """Text that says nothing to markdown, on one line."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
