"""Names that serving keeps for itself. No view, and no column of one, begins with an underscore."""

from __future__ import annotations

TILES = "_tiles_"
"""Before a view's name: its rows with their merged partials beside them."""

MERGED = "_merged_"
"""Before a partial column's name, in a view's tiles."""

SPEED = "_speed_"
BATCH = "_batch_"
"""Before a view's name: its speed partials, and its batch partials where they are in memory."""

BOUNDS = "_bounds_"
"""Before a view's name: the bounds of its batch files."""

INDEXED = "_indexed_"
"""Before a view's name: its rows as an index for lookups takes them."""

RESERVED = (TILES, MERGED, SPEED, BATCH, BOUNDS, INDEXED)
"""A query cannot give, nor use, a name that begins so."""
