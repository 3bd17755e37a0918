"""Certificates: tried before they are shown, and the newest good one is."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import make_certificate

from seamline.clock import ManualClock
from seamline.config import Settings
from seamline.errors import Condition, UserError
from seamline.schemas.project import Project
from seamline.serving.access.certificate import Certificate, certificate_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("one", "two"):
        make_certificate(folder, name)
    return folder


def shown_to_a_client(certificate: Certificate, server_name: str | None = "localhost") -> str:
    """The name on what a client that trusts nobody sees, over real sockets."""
    here, there = socket.socketpair()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    def serve() -> None:
        with certificate.context.wrap_socket(here, server_side=True) as one:
            one.recv(1)

    serving = threading.Thread(target=serve)
    serving.start()
    with client.wrap_socket(there, server_hostname=server_name) as one:
        pem = ssl.DER_cert_to_PEM_cert(one.getpeercert(binary_form=True) or b"")
        one.send(b"x")
    serving.join()
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-subject"], input=pem, text=True, capture_output=True, check=True
    )
    return done.stdout.strip().rpartition("= ")[2]


@pytest.mark.parametrize("server_name", ["localhost", None])
def test_a_new_pair_is_shown_from_the_next_handshake_on(made: Path, tmp_path: Path, server_name: str | None) -> None:
    chain, key = tmp_path / "c", tmp_path / "k"
    shutil.copy(made / "one.crt", chain)
    shutil.copy(made / "one.key", key)
    certificate = Certificate(chain, key)
    assert shown_to_a_client(certificate, server_name) == "one"
    shutil.copy(made / "two.crt", chain)
    assert shown_to_a_client(certificate, server_name) == "one", "half of a pair is no pair"
    shutil.copy(made / "two.key", key)
    assert shown_to_a_client(certificate, server_name) == "two"
    assert shown_to_a_client(certificate, server_name) == "two"
    key.unlink()
    assert shown_to_a_client(certificate, server_name) == "two"


def test_one_that_does_not_hold_now_is_refused(made: Path) -> None:
    pair = made / "one.crt", made / "one.key"
    for away in (-2, 40):
        with pytest.raises(UserError, match="it holds from") as caught:
            Certificate(*pair, ManualClock(datetime.now(UTC) + timedelta(days=away)))
        assert caught.value.condition is Condition.CONFIG_INVALID


def test_what_is_no_pair_is_refused(made: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_text("nothing")
    closed = tmp_path / "closed.key"
    seal = ["openssl", "ec", "-in", str(made / "one.key"), "-aes256", "-passout", "pass:secret", "-out", str(closed)]
    subprocess.run(seal, check=True, capture_output=True)
    wrong = [("one.crt", made / "two.key"), ("one.crt", nothing), ("one.crt", tmp_path / "none"), ("one.crt", closed)]
    for chain, key in wrong:
        with pytest.raises(UserError, match="cannot be shown") as caught:
            Certificate(made / chain, key)
        assert "PRIVATE KEY" not in str(caught.value)
    with pytest.raises(UserError, match="cannot be shown"):
        Certificate(nothing, made / "one.key")


def test_half_of_the_settings_is_refused(made: Path) -> None:
    def project(**serving: str) -> Project:
        return Project(made, Settings(serving=serving), {}, {})  # type: ignore[arg-type]

    assert certificate_of(project()) is None
    assert certificate_of(project(tls_cert="one.crt", tls_key="one.key")) is not None
    for half in ({"tls_cert": "one.crt"}, {"tls_key": "one.key"}):
        with pytest.raises(UserError, match="without its"):
            certificate_of(project(**half))
