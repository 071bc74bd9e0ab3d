"""Which files a source means, and the digest of each one's content."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence

from corpusmill.transforms import storage
from corpusmill.transforms.errors import ChangedFileError, SourceError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.compressed import first_bytes
from corpusmill.transforms.sources.files import FileRef, listed_as
from corpusmill.transforms.sources.opened import faults_of
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.storage.local import last_change

SETTLED = 0.05
"""Seconds after which a change to a local file is sure to show in its times: clocks of file systems tick slower."""


def content_digest(path: str, size: int) -> str:
    """SHA-256 of a file's first `size` bytes, cut to 32 hexadecimal digits (1.7 GB per CPU second where the processor helps).

    Raises:
        ChangedFileError: the file is shorter.
    """
    with faults_of(path, "cannot be read"), storage.open_input(path) as f:
        digest, left = hashlib.sha256(), size
        while left:
            chunk = f.read(min(left, 1 << 20))
            if not chunk:
                raise ChangedFileError(path, "became shorter while it was listed")
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()[:32]


def _digests(entries: list[storage.Entry], cache: dict[str, str]) -> dict[str, str]:
    """The digest of each file's content, by its uri. A file is the same wherever it lies, so that a run from a store gives the
    bytes of a run from a disk: what the cache does not know is read once, unless its store keeps the digest."""

    def one(entry: storage.Entry) -> str:
        known = storage.known_sha256(entry.uri)
        return known[:32] if known else content_digest(entry.uri, entry.size)

    keys = {e.uri: listed_as(e.uri, e.size, e.stamp) for e in entries}
    new = [e for e in entries if keys[e.uri] not in cache]
    begun = time.time()
    fresh = dict(zip([e.uri for e in new], storage.each(one, new, new[0].uri if new else ""), strict=True))
    digests = {uri: fresh.get(uri) or cache[key] for uri, key in keys.items()}
    for entry in new:
        # a file that was written a moment ago may be written again without a change of its times
        if not storage.is_local(entry.uri) or begun - last_change(entry) > SETTLED:
            cache[keys[entry.uri]] = fresh[entry.uri]
    return digests


def _belongs_to(spec: SourceSpec, path: str, pattern: str) -> str:
    """The format that lists a path itself, or an empty string."""
    scheme = formats.by_scheme(path)
    if scheme:
        return scheme
    for form in formats.known().values():
        if form.name == spec.format and formats.load(form.name).finds(spec):
            return form.name
        marked = spec.format == "auto" and any(storage.exists(storage.join(pattern, m)) for m in form.markers)
        if marked and storage.is_dir(pattern):
            return form.name
    return ""


def list_files(
    spec: SourceSpec,
    base_dir: str,
    cache: dict[str, str] | None = None,
    left_out: list[str] | None = None,
    online: bool = True,
) -> list[FileRef]:
    """The files of a source, sorted by path, each once.

    Args:
        cache: digests of content by `listed_as`; it is added to, so that an unchanged file is not read again.
        left_out: is added the files of folders and patterns that no format of `auto` knows.
        online: fetch addresses that are due; otherwise, those count that are in the cache.

    Raises:
        SourceError: a pattern matches nothing, or no file of a known format.
    """
    files: dict[str, FileRef] = {}
    cache = {} if cache is None else cache
    for path in spec.paths or [""]:
        scheme = formats.by_scheme(path)
        pattern = path if scheme else storage.join(base_dir, os.path.expanduser(path))
        owner = _belongs_to(spec, path, pattern)
        unknown: list[str] = []
        listed: Sequence[FileRef | tuple[storage.Entry, str]]
        if owner and not online and formats.known()[owner].lists:
            listed = formats.load(owner).kept(spec, pattern)
        else:
            listed = formats.load(owner).find(spec, pattern) if owner else _matching(spec, path, pattern, unknown)
        if left_out is not None:
            left_out += unknown
        if not listed:
            kind = "" if spec.format == "auto" else f" of format {spec.format}"
            raise SourceError(
                f"source '{spec.name}': '{path}' matches no file{kind} (looked for {pattern}). "
                "To go on: correct its `path`, or make the files first."
            )
        refs = [e for e in listed if isinstance(e, FileRef)]
        entries = [e for e in listed if not isinstance(e, FileRef)]
        if entries:
            root = pattern if storage.is_dir(pattern) else storage.glob_root(pattern)
            digests = _digests([entry for entry, _ in entries], cache)
            for entry, form in entries:
                name = entry.uri.removeprefix(root).lstrip("/")
                refs.append(FileRef(entry.uri, name, form, entry.size, entry.stamp, digests[entry.uri]))
        for ref in refs:
            files.setdefault(ref.path, ref)
    return sorted(files.values())


def _matching(spec: SourceSpec, path: str, pattern: str, left_out: list[str]) -> list[tuple[storage.Entry, str]]:
    """The files of a path, folder or pattern, and the format of each."""
    # a folder on the way may be called `corpus [2]`: what the recipe names is asked
    explicit = not (storage.is_dir(pattern) or storage.has_magic(path))
    listed = storage.list_glob(pattern)
    entries = _with_formats(spec, listed, explicit, left_out)
    if listed and not entries:
        raise SourceError(
            f"source '{spec.name}': '{path}' matches files, but none has a known format; one of them is {listed[0].uri}. "
            f"To go on: set its `format` to {_choices()}."
        )
    return entries


def _choices() -> str:
    *first, last = [f.name for f in formats.known().values() if f.extensions or f.patterns]
    return f"{', '.join(first)} or {last}"


def _with_formats(
    spec: SourceSpec, entries: list[storage.Entry], explicit: bool, left_out: list[str]
) -> list[tuple[storage.Entry, str]]:
    if spec.format != "auto":
        return [(e, spec.format) for e in entries]
    out = []
    for entry in entries:
        form = formats.by_extension(entry.uri) or formats.by_content(first_bytes(entry.uri))
        if form:
            out.append((entry, form))
        elif explicit:
            raise SourceError(
                f"source '{spec.name}': cannot tell the format of {entry.uri}. To go on: set its `format` to {_choices()}."
            )
        else:
            left_out.append(entry.uri)
    return out
