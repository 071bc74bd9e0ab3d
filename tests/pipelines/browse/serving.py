"""A server of `corpusmill browse` in a thread, for tests."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import uvicorn

from corpusmill.pipelines.browse.app import build
from corpusmill.pipelines.browse.guard import Guard

TOKEN = "a-token-of-the-tests"


class Client:
    """Asks a server. address: with the token and a slash behind it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def raw(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body)."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        try:
            with urlopen(Request(self.address + path, method=method, headers=named), timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def ask(self, name: str, **asked: Any) -> Any:
        """The answer to a question of the page."""
        for key in ("filters", "ids"):
            if key in asked:
                asked[key] = json.dumps(asked[key])
        status, _, body = self.raw(f"api/{name}?{urlencode(asked)}")
        assert status == 200, body
        return json.loads(body)


@contextmanager
def serving(*paths: object) -> Iterator[Client]:
    """A client of a server over these datasets."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    guard = Guard(build([str(p) for p in paths]), TOKEN, port)
    server = uvicorn.Server(uvicorn.Config(guard, log_level="error", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Client(f"http://127.0.0.1:{port}/{TOKEN}/")
    finally:
        server.should_exit = True
        thread.join(20)
