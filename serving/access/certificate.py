"""The certificate that a role shows: tried before the first client comes, and again when its files have changed.

What tries it is a handshake with itself, in memory: it fails for what any client's would fail for.
"""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

from seamline.clock import Clock, system_clock
from seamline.errors import Condition, UserError
from seamline.private import FileStamp, stamp_of
from seamline.schemas.project import Project

_log = logging.getLogger("seamline.serving")

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: the time is looked at by the clock that is passed in."""

Stamps = tuple[FileStamp, FileStamp]


class Certificate:
    """A chain and its key, in PEM. `context` is for any server of this process, and shows the newest that are good."""

    def __init__(self, chain: Path, key: Path, clock: Clock = system_clock) -> None:
        """Raises CONFIG_INVALID where they are no pair, cannot be read, or do not hold now."""
        self._chain, self._key, self._clock = chain, key, clock
        self._stamps = self._look()
        self.context = self._newest = self._opened()
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in each handshake. A new pair is tried once, and where it is not good, the one
        before goes on."""
        try:
            stamps = self._look()
            if stamps != self._stamps:
                self._stamps = stamps
                self._newest = self._opened()
                _log.info("a new certificate is shown, from %s", self._chain)
        except UserError as error:
            _log.error("the certificate before is shown on: %s", error)
        if self._newest is not context:
            connection.context = self._newest

    def _look(self) -> Stamps:
        try:
            return stamp_of(self._chain), stamp_of(self._key)
        except OSError as error:
            raise self._bad(f"{error.strerror}: {error.filename}") from error

    def _opened(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._chain, self._key, password=lambda: b"")  # a key behind a password asks nobody
            begins, ends = _span(context, self._chain)
        except (ssl.SSLError, OSError) as error:
            raise self._bad(str(getattr(error, "verify_message", "") or error.strerror or error)) from error
        now = self._clock()
        if not begins <= now < ends:
            raise self._bad(f"it holds from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC")
        return context

    def _bad(self, why: str) -> UserError:
        return UserError(
            Condition.CONFIG_INVALID,
            f"the certificate cannot be shown: {why}",
            detail="serving.tls_cert, a chain in PEM, the server's own first, and serving.tls_key, without password",
            hint="correct the files, or leave both settings empty where something before this role speaks TLS",
            where=str(self._chain),
        )


def certificate_of(project: Project, clock: Clock = system_clock) -> Certificate | None:
    """A project's; None where it has none. Raises CONFIG_INVALID for one that is not good, or half of one."""
    settings = project.settings.serving
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise UserError(
            Condition.CONFIG_INVALID,
            "a certificate without its key" if settings.tls_cert else "a key without its certificate",
            detail="serving.tls_cert and serving.tls_key",
            hint="set both, or neither",
            where="serving.tls_key" if settings.tls_cert else "serving.tls_cert",
        )
    if not settings.tls_cert:
        return None
    return Certificate(project.folder / settings.tls_cert, project.folder / settings.tls_key, clock)


def _span(server: ssl.SSLContext, chain: Path) -> tuple[datetime, datetime]:
    """From when to when the server's certificate holds. Raises SSLError where no client could shake hands with it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME)
    client.load_verify_locations(chain)
    asked, told = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(asked, told, server_side=True)
    there = client.wrap_bio(told, asked)
    for side in (there, here, there, here):  # TLS 1.3: hello, its answer with the certificate, and both are done
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = there.getpeercert() or {}
    begins, ends = (ssl.cert_time_to_seconds(str(shown[key])) for key in ("notBefore", "notAfter"))
    return datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(ends, UTC)
