"""One address: through redirects, robots.txt and retries to a body, or to the reason why there is none."""

from __future__ import annotations

import email.utils
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from corpusmill.transforms.sources.fetch import sites as manners
from corpusmill.transforms.sources.fetch.address import requested
from corpusmill.transforms.sources.fetch.connection import Answer, PassingError, PrivateError, TooLargeError, request
from corpusmill.transforms.sources.fetch.sites import MAX_DELAY, Sites

Kind = Literal["file", "same", "bad", "left-out", "later"]
PASSING = frozenset([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524])
_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_LONGEST_WAIT = 120.0
ROBOTS = "address that robots.txt forbids"
SLOW = f"address whose robots.txt asks for more than {MAX_DELAY:.0f} s between requests"


@dataclass(frozen=True)
class Visit:
    """What came of an address.

    kind: `file` (saved by the caller's function), `same` (not changed since), `bad` (it will not be there: quarantined),
    `left-out` (it must not be fetched), `later` (it may be there another time). reason: for `bad` the reason of the quarantine, for
    `left-out` the kind of thing left out; detail: in words; address: where redirects led; headers: of the answer.
    """

    kind: Kind
    reason: str = ""
    detail: str = ""
    address: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


def visit(address: str, known: dict[str, str], sites: Sites, save: Callable[[str, Answer, int], str]) -> Visit:
    """Fetch an address.

    Args:
        known: `address`, `etag` and `last-modified` of what is there already, or nothing.
        save: is called with the address, the answer and the bytes allowed; saves the body. What it gives, if anything, is why
            the file is left out.
    """
    settings, at = sites.settings, address
    for _ in range(settings.max_redirects + 1):
        for attempt in range(settings.retries + 1):
            try:
                found = _ask(at, known if known.get("address") == at else {}, sites, save)
                break
            except _AgainError as error:
                if attempt == settings.retries:
                    return Visit("later", detail=str(error))
                manners.sleep(min(_LONGEST_WAIT, max(2.0**attempt, error.seconds)))
        if isinstance(found, Visit):
            return found
        at = found
    return Visit("bad", "too-many-redirects", f"more than {settings.max_redirects} redirects, the last to {at}")


class _AgainError(Exception):
    """A fault that may pass. seconds: how long to wait, as the host says."""

    def __init__(self, what: str, seconds: float = 0) -> None:
        super().__init__(what)
        self.seconds = seconds


def _ask(at: str, known: dict[str, str], sites: Sites, save: Callable[[str, Answer, int], str]) -> Visit | str:
    """What came of one request, or the address to which it is redirected."""
    settings = sites.settings
    headers = {"User-Agent": settings.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
    if known.get("etag"):
        headers["If-None-Match"] = known["etag"]
    if known.get("last-modified"):
        headers["If-Modified-Since"] = known["last-modified"]
    try:
        rules = sites.rules(at)
        if not rules.allow(at):
            return Visit("left-out", ROBOTS)
        if rules.delay > MAX_DELAY:
            return Visit("left-out", SLOW)
        sites.wait(at)
        with request(at, headers, settings.timeout, settings.max_seconds, settings.private) as answer:
            status = answer.status
            if status in _REDIRECTS and answer.header("location"):
                return requested(urllib.parse.urljoin(at, answer.header("location")))
            if status == 304 and len(headers) > 3:
                return Visit("same", address=at, headers=answer.headers)
            if status in PASSING:
                raise _AgainError(f"status {status} {answer.reason}".strip(), _seconds(answer.header("retry-after")))
            if status != 200:
                return Visit("bad", f"http-{status}", f"the host answers with status {status} {answer.reason}".strip())
            if not sites.left:
                return Visit("later", detail=f"max_total_bytes={settings.max_total_bytes} are fetched")
            unknown = save(at, answer, settings.max_bytes)
            return Visit("left-out", unknown) if unknown else Visit("file", address=at, headers=answer.headers)
    except PassingError as error:
        raise _AgainError(str(error)) from error
    except PrivateError as error:
        what = f"{urllib.parse.urlsplit(at).hostname} leads to {error}, which is not in the public internet"
        return Visit("bad", "private-address", what)
    except TooLargeError as error:
        return Visit("bad", "too-large", f"the file has {error}; max_bytes={settings.max_bytes}")
    except ValueError as error:  # where a redirect leads
        return Visit("bad", "bad-address", f"a redirect leads to an address that {error}")


def _seconds(value: str) -> float:
    """Retry-After in seconds; 0 where it says nothing."""
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
