"""One request to one address, over a connection that does not lead into private networks.

The check is made on the IP address that is connected to, after the name was resolved. So names that lead to private addresses,
numbers in other notations, redirects and names that change between two look-ups come to the same end. No proxy is used.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

_CHUNK = 64 << 10
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateError(Exception):
    """The host has no address in the public internet."""


class PassingError(Exception):
    """A fault that may pass: the host or the network does not answer as it should."""


class TooLargeError(Exception):
    """The body has more bytes than are allowed."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    >>> [is_public(a) for a in ("93.184.215.14", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1")]
    [True, False, False, False, False, False]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _connector(private: bool) -> Any:
    """A function like `socket.create_connection` that connects to public addresses only."""

    def connect(address: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
        found = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)
        allowed = [f for f in found if private or is_public(str(f[4][0]))]
        if not allowed:
            raise PrivateError(str(found[0][4][0]) if found else address[0])
        last: OSError | None = None
        for family, kind, protocol, _, where in allowed:
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(timeout)
                made.connect(where)
                return made
            except OSError as error:
                made.close()
                last = error
        raise last or OSError("no address to connect to")

    return connect


class Answer:
    """Status, headers and body of an answer; the body is read by `pieces`."""

    def __init__(self, response: http.client.HTTPResponse, expired: threading.Event) -> None:
        self._response, self._expired = response, expired
        self.status, self.reason = response.status, response.reason
        self.headers: list[tuple[str, str]] = response.getheaders()

    def header(self, name: str) -> str:
        """The first header of this name, or an empty string."""
        return next((v.strip() for k, v in self.headers if k.lower() == name), "")

    def pieces(self, limit: int, cut: bool = False) -> Iterator[bytes]:
        """The body in pieces; with `cut`, about its first `limit` bytes.

        Raises:
            TooLargeError: it has more than `limit` bytes.
            PassingError: it ends early.
        """
        told = self.header("content-length")
        if told.isdigit() and int(told) > limit and not cut:
            raise TooLargeError(f"{int(told):,} bytes")
        size = 0
        with _passing(self._expired):
            while piece := self._response.read(_CHUNK):
                size += len(piece)
                if size > limit and cut:
                    yield piece
                    return
                if size > limit:
                    raise TooLargeError(f"more than {limit:,} bytes")
                yield piece
        if told.isdigit() and not self.header("transfer-encoding") and size < int(told):
            raise PassingError(f"the answer ends after {size:,} of {int(told):,} bytes")


@functools.cache
def _tls() -> ssl.SSLContext:
    """The certificates of this machine, which take milliseconds to load."""
    return ssl.create_default_context()


@contextlib.contextmanager
def request(address: str, headers: dict[str, str], timeout: float, seconds: float, private: bool) -> Iterator[Answer]:
    """The answer to GET.

    Args:
        timeout: seconds without a byte after which the request ends; seconds: that it may take in all.
        private: allow addresses in private networks.

    Raises:
        PrivateError: the host is in a private network.
        PassingError: there is no answer, or none of HTTP.
    """
    parts = urllib.parse.urlsplit(address)
    host, port = parts.hostname or "", parts.port
    made: http.client.HTTPConnection
    if parts.scheme == "https":
        made = http.client.HTTPSConnection(host, port, timeout=timeout, context=_tls())
    else:
        made = http.client.HTTPConnection(host, port, timeout=timeout)
    made._create_connection = _connector(private)  # type: ignore[attr-defined]
    expired = threading.Event()

    def end() -> None:
        expired.set()
        with contextlib.suppress(OSError, AttributeError):
            made.sock.shutdown(socket.SHUT_RDWR)

    # a host that sends a byte now and then is ended, too
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        with _passing(expired):
            made.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
            response = made.getresponse()
        yield Answer(response, expired)
    finally:
        timer.cancel()
        made.close()


@contextlib.contextmanager
def _passing(expired: threading.Event) -> Iterator[None]:
    """In this block, faults of the network become PassingError."""
    try:
        yield
    except (PrivateError, TooLargeError, GeneratorExit):
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = "took too long" if expired.is_set() or isinstance(error, TimeoutError) else str(error)
        raise PassingError(what.strip() or type(error).__name__) from error
    if expired.is_set():
        raise PassingError("took too long")
