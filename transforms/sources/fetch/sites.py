"""Manners towards hosts: one request at a time, with a pause, and only what robots.txt allows."""

from __future__ import annotations

import threading
import time
import urllib.parse

from corpusmill.transforms.sources.fetch.address import site_of
from corpusmill.transforms.sources.fetch.robots import Rules, rules_of
from corpusmill.transforms.sources.fetch.settings import Fetch

MAX_DELAY = 300.0
"""Seconds between two requests; a host that asks for more is left out."""
sleep, now = time.sleep, time.monotonic


class Sites:
    """What one run knows of the hosts it asks, and how many bytes it has left."""

    def __init__(self, settings: Fetch) -> None:
        self.settings = settings
        self._rules: dict[str, Rules] = {}
        self._next: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._lock = threading.Lock()
        self._left = settings.max_total_bytes

    def rules(self, address: str) -> Rules:
        """The rules for an address; see `robots.rules_of` for what it raises."""
        site = site_of(address)
        if site not in self._rules:
            found = rules_of(site, self.settings, self.wait)
            self._rules[site] = found
            host = urllib.parse.urlsplit(site).netloc
            self._delays[host] = max(self._delays.get(host, 0), min(found.delay, MAX_DELAY))
        return self._rules[site]

    def wait(self, address: str) -> None:
        """Wait until the host may be asked again."""
        host = urllib.parse.urlsplit(address).netloc
        with self._lock:
            at = max(now(), self._next.get(host, 0.0))
            self._next[host] = at + max(self.settings.delay, self._delays.get(host, 0.0))
        if at > now():
            sleep(at - now())

    def spend(self, size: int) -> None:
        """Count bytes that were fetched."""
        with self._lock:
            self._left -= size

    @property
    def left(self) -> int:
        """Bytes that may still be fetched."""
        return max(0, self._left)
