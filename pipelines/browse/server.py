"""Serves the pages on 127.0.0.1 until it is interrupted."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from corpusmill.transforms.errors import DatasetError, MissingDependencyError


def serve(paths: list[str], port: int, opens: bool, say: Callable[[str], None]) -> None:
    """Listen, say the address, and answer until Ctrl-C.

    Args:
        paths: of datasets.
        port: to listen on; 0 for any that is free.
        opens: whether to open the address in a browser.
        say: prints a line.

    Raises:
        DatasetError: a path is no dataset, or the port is taken. MissingDependencyError: the extra `browse` is not installed.
    """
    try:
        import uvicorn

        from corpusmill.pipelines.browse.app import build
        from corpusmill.pipelines.browse.guard import Guard
    except ImportError as error:
        raise MissingDependencyError(f"browse needs {error.name}: pip install 'corpusmill[browse]'") from None
    app = build(paths)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise DatasetError(f"port {port} cannot be listened on: {error.strerror}; name another with --port") from None
    token, number = secrets.token_urlsafe(24), listener.getsockname()[1]
    address = f"http://127.0.0.1:{number}/{token}/"
    say(f"{address}\nWho has this address can read the documents. Ctrl-C ends the server.")
    if opens:
        import webbrowser

        webbrowser.open(address)
    # no log of requests: their addresses hold the token and what was searched for
    config = uvicorn.Config(
        Guard(app, token, number), log_level="error", access_log=False, server_header=False, lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listener])
