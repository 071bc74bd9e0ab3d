"""Which files a source means, and the digest of each one's content."""

from __future__ import annotations

import os

from corpusmill.transforms import storage
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.sources.files import STREAMED, FileRef, format_of
from corpusmill.transforms.sources.spec import SourceSpec


def _sniff(path: str) -> str | None:
    """The format that a file's first bytes say, or None."""
    with storage.open_input(path) as f:
        head = f.read(64)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    return "jsonl" if head.lstrip()[:1] == b"{" else None


def content_digest(path: str) -> str:
    """SHA-256 of a file's bytes, cut to 32 hexadecimal digits (1.7 GB per CPU second where the processor helps)."""
    return storage.sha256_of(path)[:32]


def _digests(entries: list[storage.Entry], cache: dict[str, str]) -> dict[str, str]:
    """The digest of each file's content, by its uri. A file is the same wherever it lies, so that a run from a store gives the
    bytes of a run from a disk: what the cache does not know is read once, unless its store keeps the digest."""

    def one(entry: storage.Entry) -> str:
        known = storage.known_sha256(entry.uri)
        return known[:32] if known else content_digest(entry.uri)

    keys = {e.uri: f"{e.uri}|{e.size}|{e.stamp}" for e in entries}
    new = [e for e in entries if keys[e.uri] not in cache]
    near = new[0].uri if new else ""
    cache.update(zip([keys[e.uri] for e in new], storage.each(one, new, near), strict=True))
    return {uri: cache[key] for uri, key in keys.items()}


def _saved_dataset(pattern: str) -> bool:
    marks = ("dataset_dict.json", "state.json")
    return storage.is_dir(pattern) and any(storage.exists(storage.join(pattern, m)) for m in marks)


def list_files(spec: SourceSpec, base_dir: str, cache: dict[str, str] | None = None) -> list[FileRef]:
    """The files of a source, sorted by path, each once. `cache` maps "path|size|stamp" to a digest and is added to, so that
    an unchanged file is not read again. A pattern that matches nothing is an error."""
    if spec.format == "machine-docs":
        from corpusmill.transforms.sources.machine_docs import list_machine

        return list_machine(spec)
    found: dict[str, FileRef] = {}
    known = {} if cache is None else cache
    for path in spec.paths:
        if path.startswith(STREAMED):
            from corpusmill.transforms.sources.hf import streamed_ref

            ref = streamed_ref(spec, path)
            found[ref.path] = ref
            continue
        pattern = storage.join(base_dir, os.path.expanduser(path))
        if spec.format in ("auto", "hf") and _saved_dataset(pattern):
            from corpusmill.transforms.sources.hf import saved_files

            entries = [(e, "arrow") for e in saved_files(pattern, spec.hf_split)]
        elif spec.format == "hf":
            raise SourceError(
                f"source '{spec.name}': {pattern} is no folder that `save_to_disk` wrote (no state.json or "
                "dataset_dict.json). To go on: name such a folder, or a data set as hf://OWNER/NAME."
            )
        else:
            folder = storage.is_dir(pattern)
            # a folder on the way may be called `corpus [2]`: what the recipe names is asked
            explicit = not (folder or storage.has_magic(path))
            listed = storage.list_glob(pattern)
            entries = _with_formats(spec, listed, explicit)
            if listed and not entries:
                raise SourceError(
                    f"source '{spec.name}': '{path}' matches files, and of none can the format be told, such as {listed[0].uri}. "
                    "To go on: set its `format` to parquet, arrow, jsonl or text."
                )
        if not entries:
            kind = "" if spec.format == "auto" else f" of format {spec.format}"
            raise SourceError(
                f"source '{spec.name}': '{path}' matches no file{kind} (looked for {pattern}). "
                "To go on: correct its `path`, or make the files first."
            )
        root = pattern if storage.is_dir(pattern) else storage.glob_root(pattern)
        digests = _digests([e for e, _ in entries], known)
        for entry, file_format in entries:
            name = entry.uri.removeprefix(root).lstrip("/")
            ref = FileRef(entry.uri, name, file_format, entry.size, entry.stamp, digests[entry.uri])
            found.setdefault(ref.path, ref)
    return sorted(found.values())


def _with_formats(spec: SourceSpec, entries: list[storage.Entry], explicit: bool) -> list[tuple[storage.Entry, str]]:
    if spec.format != "auto":
        return [(e, spec.format) for e in entries]
    out = []
    for entry in entries:
        file_format = format_of(entry.uri) or _sniff(entry.uri)
        if file_format:
            out.append((entry, file_format))
        elif explicit:
            raise SourceError(
                f"source '{spec.name}': cannot tell the format of {entry.uri}. To go on: set its `format` to parquet, "
                "arrow, jsonl or text."
            )
    return out
