"""The kinds of ledger entries, by log: frozen, self-describing JSON. Entries are never edited.

Every entry says its format version, kind, the attempt that put it (to tell a lost answer from a lost race), and when.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from seamline.entries import forget
from seamline.entries.archive import Archived, ArchiveSnapshot, Maintained
from seamline.entries.backfills import Backfills
from seamline.entries.base import Claim
from seamline.entries.batch import Reserved, Version, Withdrawn
from seamline.entries.speed import Compacted, Epoch, Retired, SpeedSnapshot
from seamline.entries.topics import Topics
from seamline.entries.verified import Comparison
from seamline.entries.views import Published

Entry = Annotated[
    Claim
    | Epoch
    | Compacted
    | Retired
    | SpeedSnapshot
    | Archived
    | Maintained
    | ArchiveSnapshot
    | Topics
    | Reserved
    | Version
    | Published
    | Withdrawn
    | Backfills
    | Comparison
    | forget.Forget
    | forget.Cleared
    | forget.Forgotten,
    Field(discriminator="kind"),
]
