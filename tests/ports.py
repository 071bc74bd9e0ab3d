"""Ports for tests that start servers."""

import contextlib
import itertools
import os
import socket

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_first = 12_000 + _worker % 64 * 320
_ports = itertools.cycle(range(_first, _first + 320))


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now. They lie below those that a system gives to outgoing connections, and each worker of the tests
    has some hundreds of its own: nobody takes one between here and its use."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
