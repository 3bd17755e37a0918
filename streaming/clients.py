"""Kafka's own client options as kafka-python takes them, and why a cluster has turned a client away.

`kafka.options` holds Kafka's names and texts, which Spark's client takes as they are. kafka-python names the same
things with underscores and wants numbers as numbers.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from seamline.errors import Condition, TerminalError, UserError

REFUSALS: tuple[type[Exception], ...] = (
    SaslAuthenticationFailedError,
    AuthorizationError,
    UnsupportedSaslMechanismError,
)

SECONDS = 5.0
"""How long one server may take to answer a sign-in."""

INTEGERS = frozenset({"receive_buffer_bytes", "send_buffer_bytes"})
"""Integers whose default is None, so that it does not say so."""


def python_options(options: Mapping[str, str], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Options as a client of kafka-python takes them, of those that it knows (`known`: its defaults; without it the
    admin client's); the others stay with Spark alone. Raises CONFIG_INVALID, without the value: it may be a secret."""
    known = KafkaAdminClient.DEFAULT_CONFIG if known is None else known
    given: dict[str, Any] = {}
    for name, value in options.items():
        key = name.replace(".", "_")
        if name == "sasl.jaas.config":
            for part in ("username", "password"):
                if match := re.search(rf'{part}\s*=\s*"((?:[^"\\]|\\.)*)"', value):
                    given[f"sasl_plain_{part}"] = match[1]
        elif name == "ssl.truststore.location":
            given["ssl_cafile"] = value
        elif name == "ssl.endpoint.identification.algorithm":
            given["ssl_check_hostname"] = bool(value)
        elif name == "bootstrap.servers":
            raise _invalid(name, "the address in kafka.bootstrap_servers", "move it there")
        elif key in known:
            given[key] = _converted(name, value, known[key], key in INTEGERS)
    return given


def _converted(name: str, value: str, default: Any, integer: bool) -> Any:
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise _invalid(name, "true or false", "write one of these")
        return value.lower() == "true"
    if isinstance(default, int) or integer:
        if not re.fullmatch(r"-?\d+", value.strip()):
            raise _invalid(name, "a whole number", 'write one, in quotes: "20000"')
        return int(value)
    return value


def _invalid(name: str, detail: str, hint: str) -> UserError:
    return UserError(
        Condition.CONFIG_INVALID, f"kafka.options: {name} is something else", detail=detail, hint=hint, where=name
    )


def turned_away(bootstrap: str, options: Mapping[str, str]) -> Exception | None:
    """Why the first server that can be reached turns this client away at sign-in; None where none does, or none asks.

    kafka-python itself loses that answer: the server closes the connection right after it, and it sees the end first.
    Here the bytes are read to the end.
    """
    given = python_options(options)
    if not given.get("security_protocol", "").startswith("SASL_"):
        return None
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with closing(_connected(host.strip("[]"), int(port), given)) as server_socket:
                _sign_in(server_socket, host, given)
        except REFUSALS as error:
            return error
        except (KafkaError, OSError, ValueError, KeyError):
            continue  # away, or not as Kafka speaks: the next one may say more
    return None


def _connected(host: str, port: int, given: Mapping[str, Any]) -> socket.socket:
    plain = socket.create_connection((host, port), timeout=SECONDS)
    if given["security_protocol"] != "SASL_SSL":
        return plain
    context = ssl.create_default_context(cafile=given.get("ssl_cafile"))
    context.check_hostname = given.get("ssl_check_hostname", True)
    return context.wrap_socket(plain, server_hostname=host)


def _sign_in(server: socket.socket, host: str, given: Mapping[str, Any]) -> None:
    """Kafka's own exchange (KIP-43, KIP-152), by kafka-python's messages and mechanisms. Raises one of REFUSALS."""
    protocol, name = KafkaProtocol(), given.get("sasl_mechanism", "")
    offered = _asked(server, protocol, SaslHandshakeRequest[1](mechanism=name))
    if name not in offered.mechanisms:
        raise UnsupportedSaslMechanismError(f"it knows {', '.join(offered.mechanisms)}, not {name or 'none'}")
    mechanism = get_sasl_mechanism(name)(host=host, **given)
    while not mechanism.is_done():
        answer = _asked(server, protocol, SaslAuthenticateRequest[1](mechanism.auth_bytes()))
        if answer.error_code:
            raise SaslAuthenticationFailedError(answer.error_message or "wrong user or password")
        mechanism.receive(answer.auth_bytes)


def _asked(server: socket.socket, protocol: KafkaProtocol, request: Any) -> Any:
    protocol.send_request(request)
    server.sendall(protocol.send_bytes())
    while data := server.recv(65_536):
        for _, response in protocol.receive_bytes(data):
            return response
    raise ConnectionError("closed without an answer")


def refused(bootstrap: str, error: Exception) -> TerminalError:
    """KAFKA_AUTH: trying again would be turned away again (and may lock the account)."""
    return TerminalError(
        Condition.KAFKA_AUTH,
        f"the cluster at {bootstrap} turns this client away: {type(error).__name__}: {error}",
        detail="a user, password and mechanism that the cluster knows, with the rights to read and describe topics",
        hint="correct kafka.options (security.protocol, sasl.mechanism, sasl.jaas.config), or the cluster's ACLs",
        where=bootstrap,
    )
