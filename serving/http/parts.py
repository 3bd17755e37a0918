"""What the routes are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.asking import Asker
from seamline.serving.follower import Follower
from seamline.serving.live.feeds import Feeds
from seamline.serving.lookups.indexes import Lookups
from seamline.serving.saved import SavedQueries


@dataclass(frozen=True)
class Parts:
    """What a route may use. Who asks it is `request.state.caller`, which the gate puts there."""

    follower: Follower

    asker: Asker
    """Who answers; what is asked stands in the audit log."""

    feeds: Feeds
    """What is followed."""

    access: Access | None = None
    """Who may ask; None: whoever reaches it."""

    audit: AuditLog | None = None

    queries: SavedQueries = field(default_factory=dict)
    """The project's saved queries."""

    live_rows: int = 100_000  # as serving.live_rows
    """Of an answer that is followed, at most."""

    ending: Callable[[], bool] = lambda: False
    """Whether the role is to end."""

    lookups: Lookups | None = None
    """Who answers lookups without SQL; None: nobody."""
