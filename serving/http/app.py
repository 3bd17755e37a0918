"""The routes of HTTP, behind the gate."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fastapi import FastAPI
from starlette.types import StatelessLifespan

from seamline.config import ServingSection
from seamline.serving.access.audited import audited
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.access.authentication import Access
from seamline.serving.asking import Asker, Direct
from seamline.serving.follower import Follower
from seamline.serving.http.gate import BODY_SECONDS, Gate
from seamline.serving.http.health_routes import add_health
from seamline.serving.http.live_routes import add_live
from seamline.serving.http.openapi import DescribedRoutes
from seamline.serving.http.parts import Parts
from seamline.serving.http.problems import add_problems
from seamline.serving.http.query_routes import add_queries
from seamline.serving.http.rows_routes import QuickRows, add_rows
from seamline.serving.http.saved_routes import add_saved
from seamline.serving.http.view_routes import add_views
from seamline.serving.live.changing import Changing
from seamline.serving.live.feeds import Feeds
from seamline.serving.lookups.indexes import Lookups
from seamline.serving.saved import SavedQueries

ROUTES: tuple[Callable[[FastAPI, Parts], None], ...] = (
    add_queries,
    add_saved,
    add_live,
    add_views,
    add_rows,
    add_health,
)
"""Each puts its routes there."""


def create_app(
    follower: Follower,
    hosts: Collection[str] = (),
    body_seconds: float = BODY_SECONDS,
    access: Access | None = None,
    audit: AuditLog | None = None,
    asker: Asker | None = None,
    lifespan: StatelessLifespan[FastAPI] | None = None,
    queries: SavedQueries | None = None,
    settings: ServingSection | None = None,
    ending: Callable[[], bool] = lambda: False,
    lookups: Lookups | None = None,
) -> FastAPI:
    """The routes over a follower. hosts: names that it may be asked by, beside localhost and the address it has.
    access: who may ask; None: whoever reaches it. audit: where it is kept who asked what. asker: who answers; None:
    threads of this process. lifespan: what runs beside the routes, in their loop. queries: those that are saved.
    settings: how much there may be at a time, and of what size. ending: whether the role is to end.
    lookups: who answers these without SQL."""
    app = DescribedRoutes(title="Seamline", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_problems(app)
    asker, section = asker or Direct(lambda: follower.serving), settings or ServingSection()  # type: ignore[call-arg]
    feeds = Feeds(asker, Changing(lambda: follower.serving), section.live, section.caller_live or section.live)
    parts = Parts(
        follower, audited(asker, audit, "http"), feeds, access, audit, queries or {}, section.live_rows, ending,
        lookups,
    )  # fmt: skip
    app.add_middleware(QuickRows, parts=parts)
    app.add_middleware(Gate, hosts=hosts, seconds=body_seconds, access=access, audit=audit)
    for add in ROUTES:
        add(app, parts)
    return app
