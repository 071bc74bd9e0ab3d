"""Pages of a dump of MediaWiki (export schema 0.3 to 0.11), from any range of the file.

In the XML, `<` is written as an entity wherever it is text, so the tags of a page are found as bytes. Each page is then parsed on
its own: no document type, and so no entity, is ever declared in it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from corpusmill.transforms.sources.warc.frames import Frames, TornError
from corpusmill.transforms.sources.warc.stream import Decoded
from corpusmill.transforms.sources.wiki.links import Names

_BEGIN, _END = b"<page>", b"</page>"
_NAMESPACE = re.compile(r'<namespace key="(-?\d+)"[^<>]*>([^<>]*)</namespace>')
_BASE = re.compile(r"<base>([^<>]*)</base>")
_HEAD = 1 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Page:
    """A page and its newest revision. offset: of the frame in the file in which it begins (plain files: its own)."""

    offset: int
    id: int
    title: str
    namespace: int
    redirect: str
    revision: int
    date: str
    model: str
    text: str


@dataclass(frozen=True)
class Fault:
    """Bytes from `offset` on that are no page. ended: because the file ends; torn: what follows must be looked for."""

    offset: int
    what: str
    ended: bool = False
    torn: bool = False
    raw: bytes = b""


def site(frames: Frames) -> tuple[str, Names] | None:
    """Where pages of the wiki lie on the web, and the names of its namespaces; None if the file is no dump."""
    head = b""
    with contextlib.suppress(TornError):
        for chunk in frames.chunks(0):
            head += chunk.data
            if _BEGIN in head or len(head) > _HEAD:
                break
    head = head.partition(_BEGIN)[0]
    text = head.decode("utf-8", "replace")
    if "<mediawiki" not in text:
        return None
    spaces = {int(key): name.lower() for key, name in _NAMESPACE.findall(text)}
    base = _BASE.search(text)
    own = Names()
    names = Names(
        own.files | {spaces[k] for k in (6, -2) if k in spaces},
        own.categories | ({spaces[14]} if 14 in spaces else set()),
        frozenset(spaces.values()),
    )
    return (base[1].rpartition("/")[0] + "/" if base else ""), names


def next_page(frames: Frames, at: int) -> int | None:
    """From `at` on, the first frame that begins with a page; in a plain file, the first page."""
    if frames.codec:
        return frames.find(at, lambda place: frames.begins(place, _BEGIN))
    at = max(0, at)
    while at < frames.size:
        frames.file.seek(at)
        block = frames.file.read(min(_BLOCK + len(_BEGIN) - 1, frames.size - at))
        found = block.find(_BEGIN)
        if found >= 0:
            return at + found
        at += _BLOCK
    return None


def pages(frames: Frames, begin: int, end: int | None, longest: int) -> Iterator[Page | Fault]:
    """The pages that begin in a range, and what is no page.

    Args:
        begin: 0, or what `next_page` gave.
        end: what `next_page` gave, or None for the end of the file.
        longest: bytes of a page in XML; longer ones are faults.
    """
    at: int | None = begin
    while at is not None and at < frames.size and (end is None or at < end):
        torn: Fault | None = None
        for each in _run(Decoded(frames, at), end, longest):
            if not isinstance(each, Fault) or not each.torn:
                yield each
                continue
            torn = each
            at = next_page(frames, each.offset + 1)
            until = f"{each.what}: nothing is read up to byte {at}"
            yield each if at is None else Fault(each.offset, until, torn=True)
        if torn is None:
            return


def _run(stream: Decoded, end: int | None, longest: int) -> Iterator[Page | Fault]:
    """Pages up to the first torn frame, or the end."""
    begun: int | None = None
    last = 0
    try:
        while stream.before(_BEGIN, longest) is not None:
            begun = last = stream.offset()
            if end is not None and begun >= end:
                return
            data = stream.until((_END,), longest)
            if data is not None:
                yield _parsed(data, begun)
            elif stream.exhausted:
                yield Fault(begun, "the file ends within a page", ended=True)
                return
            else:
                yield Fault(begun, f"a page of more than {longest} bytes", raw=stream.peek(4096))
                while stream.before(_END, longest) is None and not stream.exhausted:
                    stream.skip(longest - len(_END))
            begun = None
    except TornError as torn:
        yield Fault(torn.offset if begun is None else begun, torn.what, torn.ended, torn=True)
        return
    rest = stream.take(2 * longest)
    if b"</mediawiki" not in rest:
        yield Fault(last, "the file ends without the end of the dump", ended=True)


def _parsed(data: bytes, offset: int) -> Page | Fault:
    try:
        page = ElementTree.fromstring(data)
        revision = page.findall("revision")[-1]
        redirect = page.find("redirect")
        return Page(
            offset,
            int(page.findtext("id") or 0),
            page.findtext("title") or "",
            int(page.findtext("ns") or 0),
            redirect.get("title", "") or "?" if redirect is not None else "",
            int(revision.findtext("id") or 0),
            revision.findtext("timestamp") or "",
            revision.findtext("model") or "wikitext",
            revision.findtext("text") or "",
        )
    except (ElementTree.ParseError, ValueError, IndexError) as error:
        return Fault(offset, f"a page that is no sound XML ({error})", raw=data[:4096])
