"""Lets in requests of the person who started the server, and nobody else's.

The address holds a secret token. `Host` must name this server, which stops a foreign name that resolves to 127.0.0.1 (DNS
rebinding); `Origin` and `Sec-Fetch-Site` must be this server's own, which stops pages of other sites. Only GET is answered.
Every answer forbids the browser to run, load or send anything that is not this server's.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """An ASGI application around `app`, which sees paths without the token. port: the one that is listened to."""

    def __init__(self, app: Any, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = self._problem(scope)
        if refused:
            status, text = refused
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [(b"content-type", b"text/plain"), *HEADERS],
                }
            )
            await send({"type": "http.response.body", "body": text.encode()})
            return
        rest = scope["path"][len(self._token) + 1 :] or "/"

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = [(k, v) for k, v in message["headers"] if k.lower() != b"cache-control"]
                own = any(k.lower() == b"content-security-policy" for k, _ in given)
                policy = [] if own else [(b"content-security-policy", POLICY.encode())]
                message = {**message, "headers": [*given, *HEADERS, *policy]}
            await send(message)

        await self._app({**scope, "path": rest, "raw_path": rest.encode(), "root_path": ""}, receive, answer)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        """(status, text) of a refusal."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        if headers.get("host", "") not in self._hosts:
            return 421, "This server answers to 127.0.0.1 alone."
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return 403, "Requests of other sites are refused."
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "Requests of other sites are refused."
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "This server only reads."
        first = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not hmac.compare_digest(first.encode("utf-8", "replace"), self._token.encode()):
            return 403, "The address lacks its token. Open the address that `corpusmill browse` printed."
        return None
