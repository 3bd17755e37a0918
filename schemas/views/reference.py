"""The reference of the view language, as docs/views.md shows it: made from the tables, so that it cannot say otherwise.

`python -m seamline.schemas.views.reference docs/views.md` writes it anew between its marks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seamline.schemas.algebra import ALGEBRA, Aggregate, Call, Form
from seamline.schemas.algebra.forms import FLOATS, evaluated
from seamline.schemas.views.language import FUNCTIONS

TYPES = ("BIGINT", "DECIMAL(38,4)", "DOUBLE", "BOOLEAN", "VARCHAR", "TIMESTAMP WITH TIME ZONE")
"""What each entry is asked about, the most telling first."""


def forms(entry: Aggregate) -> dict[str, Form]:
    """The entry's form for each of TYPES that it takes, with the constants it is tried with last."""
    texts = entry.tried[-1]
    found = {}
    for kind in TYPES:
        form = entry.form(Call((kind,) * entry.arguments, evaluated(texts), texts))
        if form is not None:
            found[kind] = form
    return found


def aggregates() -> str:
    """A table of every aggregate: how it is written, what it takes, what it answers and what is stored."""
    rows = ["| aggregate | | takes | answer | stored as |", "|---|---|---|---|---|"]
    for entry in ALGEBRA.values():
        known = forms(entry)
        others = [*entry.also, *([entry.ordered] if entry.ordered else [])]
        about = entry.about + (f"; also `{'`, `'.join(others)}`" if others else "")
        about += "; DISTINCT changes nothing" if entry.alike else ""
        first = next(iter(known.values()))
        stored = ", ".join(dict.fromkeys(f"`{part.stored}`" for part in first.parts))
        rows.append(f"| `{entry.signature}` | {about} | {entry.takes} | {_answer(known)} | {stored} |")
    return "\n".join(rows)


def _answer(known: dict[str, Form]) -> str:
    """Exact or not, and the bound; told apart where only floats are inexact."""
    said = {
        kind: f"{form.exactness}: {form.bound}" if form.bound and "(float)" not in form.exactness else form.exactness
        for kind, form in known.items()
    }
    floats = {text for kind, text in said.items() if kind in FLOATS}
    others = {text for kind, text in said.items() if kind not in FLOATS}
    if not others or not floats or floats == others:
        return "; ".join(sorted(floats | others))
    return f"{'; '.join(sorted(others))}; over FLOAT and DOUBLE {'; '.join(sorted(floats))}"


def functions() -> str:
    """A table of every scalar function, by what it is about."""
    rows = ["| | functions |", "|---|---|"]
    rows += [f"| {about} | {' '.join(f'`{name}`' for name in names)} |" for about, names in FUNCTIONS.items()]
    return "\n".join(rows)


SECTIONS = {"aggregates": aggregates, "functions": functions}


def written(page: str) -> str:
    """The page with every section between `<!-- name -->` and `<!-- /name -->` made anew."""
    for name, make in SECTIONS.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        page = f"{before}{start}{make()}\n{end}{after}" if found and closed else page
    return page


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
