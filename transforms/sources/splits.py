"""Splits: what one worker reads at a time, cut so that one big file uses all workers, and named by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.files import FileRef, Part
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.versions import library_version

if TYPE_CHECKING:
    from corpusmill.transforms.sources.format import Format

TARGET = 64 << 20


@dataclass(frozen=True)
class Split:
    """Parts of one format that are read one after the other into one shard. arrival: the wave of files with which they came to
    the dataset, 1 for the first; no part of what is read."""

    source: str
    format: str
    parts: tuple[Part, ...]
    arrival: int = 1

    @property
    def reader(self) -> Format:
        """The format's reader."""
        return formats.load(self.format)

    @property
    def key(self) -> str:
        """32 hexadecimal digits of the content read: digests and ranges, names only where documents show them, and versions of
        the libraries that read them."""
        h = hashlib.sha256(f"{self.source}\0{self.format}".encode())
        for p in self.parts:
            name = p.name if self.reader.shows_names else ""
            h.update(f"\0{p.digest}\0{p.begin}\0{p.end}\0{name}".encode("utf-8", "backslashreplace"))
        for library in formats.libraries(self.format):
            h.update(f"\0{library} {library_version(library)}".encode())
        return h.hexdigest()[:32]

    @property
    def size(self) -> int:
        """Bytes of file behind this split, for scheduling (an estimate where a file is cut by row groups or batches)."""
        return sum(p.end - p.begin if self.reader.by_bytes else p.size for p in self.parts)

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and lists, without stamps: those of a copy of the file differ (`put_stamps`)."""
        parts = [{k: v for k, v in asdict(p).items() if k != "stamp"} for p in self.parts]
        return {"source": self.source, "format": self.format, "parts": parts, "arrival": self.arrival}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Split:
        """The inverse of `to_json`, with the stamps that `put_stamps` added."""
        return cls(data["source"], data["format"], tuple(Part(**p) for p in data["parts"]), data.get("arrival", 1))


def put_stamps(splits: list[dict[str, Any]], digests: Mapping[str, str]) -> None:
    """Add stamps to the parts of splits as JSON, where a listing knows a file of the same size and content.

    Args:
        digests: digests of content by `listed_as`. The files it does not know are compared by their content.
    """
    stamps = {}
    for listed, digest in digests.items():
        path, size, stamp = listed.rsplit("|", 2)
        stamps[path, int(size), digest] = stamp
    for part in (p for split in splits for p in split["parts"]):
        part["stamp"] = stamps.get((part["path"], part["size"], part["digest"]), "")


def _whole(f: FileRef) -> Part:
    return Part(f.path, f.name, f.size, f.digest, 0, f.size, True, bool(f.stamp), f.stamp)


def _ranges(f: FileRef, target: int) -> list[Part]:
    """The parts of a file too big for one split."""
    ranges = formats.load(f.format).ranges(f.path, f.size, target)
    if len(ranges) < 2:
        return [_whole(f)]
    return [Part(f.path, f.name, f.size, f.digest, begin, end, False, bool(f.stamp), f.stamp) for begin, end in ranges]


def _grouped(files: Iterable[FileRef], target: int) -> list[tuple[Part, ...]]:
    """Small files in groups. A group ends after a file with a chance of (size / target) that its digest decides, so that a
    file added or taken away changes one group (or splits or joins two), and at 4 * target at the latest."""
    groups: list[tuple[Part, ...]] = []
    group: list[Part] = []
    filled = 0
    for f in sorted(files, key=lambda f: (f.digest, f.name, f.path)):
        group.append(_whole(f))
        filled += f.size
        # the first 60 bits order the files, so other bits must decide
        draw = int(hashlib.sha256(f.digest.encode()).hexdigest()[:15], 16) / 16**15
        if draw * target < max(f.size, 512) or filled >= 4 * target:
            groups.append(tuple(group))
            group, filled = [], 0
    return groups + ([tuple(group)] if group else [])


def _as_one(files: list[FileRef]) -> list[FileRef]:
    """The files, with one name (the first) for all of equal content.

    Such files are read once, and what is quarantined must not depend on which of them was read. Files whose names documents
    show keep their own."""
    first: dict[tuple[str, str], str] = {}
    for f in sorted(files, key=lambda f: f.name):
        first.setdefault((f.format, f.digest), f.name)
    shown = [f.name if formats.load(f.format).shows_names else first[f.format, f.digest] for f in files]
    return [f if f.name == name else replace(f, name=name) for f, name in zip(files, shown, strict=True)]


def make_splits(
    spec: SourceSpec, files: list[FileRef], target_bytes: int = TARGET, arrivals: Mapping[str, int] | None = None
) -> list[Split]:
    """The splits of a source, sorted by key: the same for any order of the listing. Large Parquet and Arrow files and plain
    JSONL are cut into ranges; files below target_bytes / 64, and all text, are put together (text to a quarter of
    target_bytes: it is not compressed), those of one arrival (path -> wave; all 1 where it is None)."""
    splits: list[Split] = []
    small: dict[tuple[str, int], list[FileRef]] = {}
    for f in _as_one(files):
        arrival = arrivals[f.path] if arrivals else 1
        form = formats.load(f.format)
        if form.small or (f.size < target_bytes // 64 and not form.alone):
            small.setdefault((f.format, arrival), []).append(f)
            continue
        parts = _ranges(f, target_bytes) if f.size > target_bytes else [_whole(f)]
        splits += [Split(spec.name, f.format, (p,), arrival) for p in parts]
    for (file_format, arrival), group in small.items():
        target = target_bytes // 4 if formats.load(file_format).small else target_bytes // 8
        splits += [Split(spec.name, file_format, parts, arrival) for parts in _grouped(group, max(target, 1))]
    return sorted(splits, key=lambda u: (u.key, [p.path for p in u.parts]))
