"""PostgreSQL's port, open while the role runs: what of it is the role's business."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from seamline.serving.access.auditlog import AuditLog
from seamline.serving.asking import Asker
from seamline.serving.wire.librarian import Catalogues
from seamline.serving.wire.listener import Listener
from seamline.serving.wire.wired import Doors, House, Open


@asynccontextmanager
async def open_port(
    listening: socket.socket,
    asker: Asker,
    doors: Doors | None = None,
    tls: ssl.SSLContext | None = None,
    grace: float = 30,
    audit: AuditLog | None = None,
) -> AsyncIterator[None]:
    """Answers on a bound socket while the block runs, in its loop.

    `doors`: who may come in; None: whoever reaches the port. `audit`: where it is kept who was not.
    At the end, statements that run have `grace` seconds.
    """
    catalogues = Catalogues(asker.snapshot)
    listener = Listener(House(lambda: asker, catalogues, doors or Open(), tls, audit=audit), listening)
    await listener.open()
    try:
        yield
    finally:
        await listener.close(grace)
        await catalogues.close()
