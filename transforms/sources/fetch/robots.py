"""What the robots.txt of a site allows (RFC 9309), and how long it asks to wait."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.sources.fetch.connection import PassingError, request
from corpusmill.transforms.sources.fetch.settings import Fetch

MAX_BYTES = 500 << 10
"""Bytes of robots.txt that count, as RFC 9309 demands at least."""
HOPS = 5


@dataclass(frozen=True)
class Rules:
    """rules: a parsed robots.txt, or None where there is none, which allows all."""

    rules: Any
    robot: str

    def allow(self, address: str) -> bool:
        """Whether the address may be fetched."""
        return self.rules is None or bool(self.rules.can_fetch(address, self.robot))

    @property
    def delay(self) -> float:
        """Seconds between two requests that the site asks for; 0 if it does not."""
        return 0.0 if self.rules is None else float(self.rules.crawl_delay(self.robot) or 0)


def rules_of(site: str, settings: Fetch, wait: Callable[[str], None]) -> Rules:
    """The rules of a site: status 4xx allows all, as RFC 9309 says.

    Args:
        site: scheme and host, as in `https://example.org`.
        wait: is called with the address before each request.

    Raises:
        PassingError: the file cannot be had now, so nothing of the site may be fetched now.
        PrivateError: it lies in a private network.
    """
    address = f"{site}/robots.txt"
    for _ in range(HOPS + 1):
        wait(address)
        headers = {"User-Agent": settings.user_agent, "Accept-Encoding": "identity"}
        with request(address, headers, settings.timeout, settings.max_seconds, settings.private) as answer:
            if 300 <= answer.status < 400 and answer.header("location"):
                address = urllib.parse.urljoin(address, answer.header("location"))
                if not address.startswith(("http://", "https://")):
                    return Rules(None, settings.robot)
                continue
            if 400 <= answer.status < 500 and answer.status != 429:
                return Rules(None, settings.robot)
            if answer.status != 200:
                raise PassingError(f"its robots.txt answers with status {answer.status}")
            data = b"".join(answer.pieces(MAX_BYTES, cut=True))
            return Rules(_protego().parse(data.decode("utf-8-sig", "replace")), settings.robot)
    return Rules(None, settings.robot)  # RFC 9309: five redirects, and then there is none


def _protego() -> Any:
    try:
        from protego import Protego
    except ImportError as error:
        raise MissingDependencyError(
            "format: urls needs the package protego. To go on: pip install 'corpusmill[web]'."
        ) from error
    return Protego
