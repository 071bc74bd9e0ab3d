"""Connections between parties: TLS 1.3 with certificates on both ends, and bytes that come whole or not at all."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

from corpusmill.privacy.secret import private_file
from corpusmill.transforms.errors import DatasetError, RecipeError


def address(text: str) -> tuple[str, int]:
    """HOST:PORT as a pair. Raises RecipeError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise RecipeError(f"`{text}` is no HOST:PORT.")
    return host.strip("[]"), int(port)


def tls_of(certificates: str, name: str, protocol: int) -> ssl.SSLContext:
    """The context of a party's connections. protocol: of the `ssl` module, for a server or a client.

    Raises:
        DatasetError: the folder's authority, certificate and key are not as they must be.
        PrivacyError: other users can read the key.
    """
    folder = Path(certificates)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(folder / "authority.pem")
        private_file(folder / f"{name}.key.pem")
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key.pem")
    except (OSError, ssl.SSLError) as error:
        raise DatasetError(
            f"{folder}: authority.pem, {name}.pem and {name}.key.pem cannot be used ({error}). "
            "`corpusmill party certificates` makes them."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = protocol == ssl.PROTOCOL_TLS_CLIENT
    return context


class Read:
    """Reads from a connection, what was read already first."""

    def __init__(self, connection: Any, first: bytes) -> None:
        self.connection, self.first = connection, first

    def __call__(self, count: int) -> bytes:
        first, self.first = self.first, b""
        return first or exactly(self.connection, count)


def exactly(connection: Any, count: int) -> bytes:
    """The next `count` bytes. Raises EOFError where the connection ends before."""
    parts, got = [], 0  # memory grows with what has come, not with what was announced
    while got < count:
        part = connection.recv(min(count - got, 1 << 20))
        if not part:
            raise EOFError("the connection was closed")
        parts.append(part)
        got += len(part)
    return b"".join(parts)


def shut(connection: socket.socket) -> None:
    """End a connection, or listening, for whoever waits for it; the socket stays open. By the socket itself: TLS's own method takes
    the protocol from under a reader."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
