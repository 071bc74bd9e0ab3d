"""A list of addresses to files in the cache: what is due is fetched, host by host."""

from __future__ import annotations

import os
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from corpusmill.transforms.errors import UnreadableFileError
from corpusmill.transforms.sources.fetch.connection import Answer
from corpusmill.transforms.sources.fetch.saving import Saved, save
from corpusmill.transforms.sources.fetch.settings import Fetch
from corpusmill.transforms.sources.fetch.sites import Sites
from corpusmill.transforms.sources.fetch.stored import Cache, Note
from corpusmill.transforms.sources.fetch.visit import visit
from corpusmill.transforms.sources.files import FileRef

HOUR = 3600.0


def fetch(addresses: list[str], settings: Fetch, folder: str, named_by: str) -> list[FileRef]:
    """The files of addresses: fetched now where they are due, else as they lie in the cache.

    Args:
        folder: of the cache.
        named_by: the list, for messages.

    Raises:
        UnreadableFileError: an address cannot be reached now, and `unreachable` is `stop`. What was fetched is kept.
    """
    cache, sites, now = Cache(folder), Sites(settings), time.time()
    notes = {address: cache.get(address) for address in addresses}
    due: dict[str, list[str]] = {}
    for address, note in notes.items():
        if note is None or note.kind == "later" or now - note.checked >= settings.recheck_hours * HOUR:
            due.setdefault(urllib.parse.urlsplit(address).netloc, []).append(address)

    def host(mine: list[str]) -> None:
        for address in mine:
            notes[address] = _fetched(address, notes[address], sites, cache)

    if due:
        with ThreadPoolExecutor(min(settings.connections, len(due))) as pool:
            try:
                list(pool.map(host, due.values()))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    found = [note for note in notes.values() if note is not None]
    later = [note for note in found if note.kind == "later"]
    if later and settings.unreachable == "stop":
        what = f"names {len(later)} of {len(found)} addresses that cannot be fetched now, such as {later[0].address}"
        todo = "run the same command again later, or set `options: {unreachable: leave-out}`; what was fetched is kept"
        raise UnreadableFileError(named_by, f"{what} ({later[0].detail})", todo)
    return [cache.file(note) for note in found]


def _fetched(address: str, before: Note | None, sites: Sites, cache: Cache) -> Note:
    """Ask for an address, and keep what comes."""
    settings = sites.settings
    has = before if before is not None and before.kind == "file" else None
    known = {"address": has.at, "etag": has.etag, "last-modified": has.last_modified} if has else {}
    made: list[Saved] = []

    def keep(at: str, answer: Answer, limit: int) -> str:
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        saved = save(at, answer, min(limit, sites.left), cache.stem(address) + ".new", settings.format, date)
        if isinstance(saved, str):
            return saved
        made.append(saved)
        return ""

    found = visit(address, known, sites, keep)
    now = time.time()
    if found.kind == "later" and has:
        return has  # what was there is read until the host says something else
    if found.kind == "same" and has:
        note = replace(has, checked=now)
    elif found.kind == "file":
        note = _kept(address, made[-1], found.address, has, sites, cache, now)
        headers = {k.lower(): v for k, v in reversed(found.headers)}
        note.etag, note.last_modified = headers.get("etag", ""), headers.get("last-modified", "")
    else:
        note = Note(address, found.kind, now, "", "", found.reason, found.detail)
    cache.put(note)
    return note


def _kept(address: str, saved: Saved, at: str, has: Note | None, sites: Sites, cache: Cache, now: float) -> Note:
    """Give a file its name. A body that is the same as before leaves the file as it is, with the date of its first capture."""
    sites.spend(os.path.getsize(saved.file))
    if has is not None and has.body == saved.body and has.at == at:
        os.unlink(saved.file)
        return replace(has, checked=now)
    folder, name = os.path.split(saved.file)
    target = os.path.join(folder, name.replace(".new", "", 1))
    os.replace(saved.file, target)
    return Note(
        address, "file", now, os.path.basename(target), saved.format, at=at, body=saved.body, sha256=saved.sha256
    )
