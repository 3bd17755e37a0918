"""The algebra: every aggregate a view may use, as one table.

Nothing else in the code knows an aggregate by name; another one is another entry, in the module of its family.
"""

from __future__ import annotations

from seamline.schemas.algebra.collections import COLLECTIONS
from seamline.schemas.algebra.comoments import COMOMENTS
from seamline.schemas.algebra.distinct import DISTINCT
from seamline.schemas.algebra.distribution import DISTRIBUTION
from seamline.schemas.algebra.extremes import EXTREMES
from seamline.schemas.algebra.forms import Aggregate, Call, Exactness, Form, Part
from seamline.schemas.algebra.frequencies import FREQUENCIES
from seamline.schemas.algebra.moments import MOMENTS
from seamline.schemas.algebra.sums import SUMS

__all__ = ["ALGEBRA", "LAYOUT", "NAMES", "WITHIN", "Aggregate", "Call", "Exactness", "Form", "Part"]

LAYOUT = 6
"""The newest layout of partials. Where what an entry stores changes, in type or in meaning, raise it and give the
entry's parts that `since`: epochs, compacted segments and batch versions record the layout that they were stored in,
and a view with such a column asks for a rebuild. No definition changes by it.

- 5: the number of a group's events; value counts, whose merge added a neighbour's; the ends of digests; hashes of
  lists and structs.
- 6: sums and averages over FLOAT and DOUBLE, in digits.
"""

FAMILIES = (SUMS, EXTREMES, DISTINCT, COLLECTIONS, DISTRIBUTION, FREQUENCIES, MOMENTS, COMOMENTS)

ALGEBRA: dict[str, Aggregate] = {entry.name: entry for family in FAMILIES for entry in family}
"""By name; an aggregate over DISTINCT arguments is an entry of its own, `count distinct`."""

NAMES: dict[str, str] = {
    name: entry.name for entry in ALGEBRA.values() for name in (entry.name, *entry.also) if " " not in name
}
"""Every name that an aggregate may be called by, to its entry."""

WITHIN: dict[str, str] = {entry.within: entry.name for entry in ALGEBRA.values() if entry.within}
"""Every name that an aggregate may be called by with WITHIN GROUP, to its entry."""
