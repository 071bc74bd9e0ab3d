"""Lists of domains and addresses, compiled once to a file that is mapped into memory: millions of entries cost nothing to open.

What is read: a file with one entry a line, or a folder of such files. An entry is a domain, an address, or the beginning of
one. Files of hosts (`0.0.0.0 name`), filters of the form `||name^` and comments are understood. In a folder as the
University of Toulouse (UT1) publishes them, `adult/domains` and `adult/urls` are the category `adult`; elsewhere a file's name
without its ending is the category.

The compiled form lies below ~/.cache/corpusmill/lists (XDG_CACHE_HOME). It is named by the paths, sizes and times of the files,
and holds sorted 64-bit hashes of the entries, so that entries of equal hash are not told apart: with five million entries, an
address is taken for a wrong one with probability 3e-13.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.storage.local import write_atomic
from corpusmill.transforms.web.address import above, addresses

_FORM = 1
_UT1 = ("domains", "urls")
_SKIPPED = ("expressions", "very_restrictive_expression", "usage", "readme", "cc-by", "license", "global_usage")
_CHUNK = 1 << 24
_COMMENT = r"(?:^|\s)[#!].*|^\[.*\]$|^@@.*|.*#@?\??#.*|^\x{feff}"
"""Comments, heads, and rules of ad blockers that allow pages or hide parts of them."""
_NUMBERS = r"^(?:0\.0\.0\.0|127\.0\.0\.1|255\.255\.255\.255|::1?|fe80::1%lo0|ff0[02]::[0-3]?)\s+"


class BlockList(NamedTuple):
    """keys: uint64 [n] sorted hashes of entries, mapped; kinds: uint8 [n] positions in `categories`; hosts: uint64 [m] sorted
    hashes of the hosts of entries that name a path; digest: of all of these."""

    categories: tuple[str, ...]
    keys: np.ndarray
    kinds: np.ndarray
    hosts: np.ndarray
    digest: str

    def find(self, normal: pa.Array, host: pa.Array) -> np.ndarray:
        """int16 [n]: the category of each address (`address.Addresses`), -1 where no entry names it or a domain above it."""
        coded = host.dictionary_encode()
        names = coded.dictionary.to_pylist()
        chains = [above(name) for name in names]
        found = self._first([c for chain in chains for c in chain], [len(c) for c in chains])
        out = np.full(len(host), -1, np.int16)
        known = coded.indices.is_valid().to_numpy(zero_copy_only=False)
        which = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        if len(names):
            out[known] = found[which[known]]
        if len(self.hosts) and len(names):
            named = _within(self.hosts, hash64(coded.dictionary))[1]
            rows = np.flatnonzero(known & (out < 0) & named[which])
            begun = [_beginnings(a) for a in normal.take(pa.array(rows)).to_pylist()]
            out[rows] = self._first([b for each in begun for b in each], [len(b) for b in begun])
        return out

    def _first(self, candidates: list[str], lengths: list[int]) -> np.ndarray:
        """int16 [m]: the category of the first candidate of each run that is an entry, or -1."""
        out = np.full(len(lengths), -1, np.int16)
        place, hit = _within(self.keys, hash64(pa.array(candidates, pa.string())))
        owner = np.repeat(np.arange(len(lengths)), lengths)
        for i in np.flatnonzero(hit)[::-1].tolist():
            out[owner[i]] = self.kinds[place[i]]
        return out


def _within(keys: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions, whether the key is there) of hashes among sorted keys."""
    if not len(keys):
        return np.zeros(len(asked), np.int64), np.zeros(len(asked), np.bool_)
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return place, keys[place] == asked


def _beginnings(normal: str) -> list[str]:
    """An address without its scheme, and its beginnings that end before a slash or a question mark, the longest first."""
    address = normal.removeprefix("https://")
    return [address[:i] for i in [len(address), *(m.start() for m in re.finditer(r"[/?]", address))][::-1]]


@functools.lru_cache(16)
def _opened(file: str, stamp: int) -> BlockList:
    with open(file, "rb") as f:
        header = json.loads(f.readline())
    begin, n, m = header["begin"], header["entries"], header["hosts"]
    if os.path.getsize(file) != begin + 8 * (n + m) + n:
        raise ValueError("another size than its header says")
    mapped = np.memmap(file, np.uint8, "r", begin)
    keys, hosts = mapped[: 8 * n].view(np.uint64), mapped[8 * n : 8 * (n + m)].view(np.uint64)
    return BlockList(tuple(header["categories"]), keys, mapped[8 * (n + m) :], hosts, header["digest"])


def block_list(paths: tuple[str, ...], categories: tuple[str, ...] | None = None) -> BlockList:
    """The compiled list of files and folders; it is compiled if it is not there yet.

    Args:
        paths: local files and folders.
        categories: those that count; None: all.

    Raises:
        RecipeError: a path is not there, or no file has one of `categories`.
        BadFileError: a line of a file is no entry.
    """
    files = [(category, file) for path in paths for category, file in _files(path)]
    known = sorted({category for category, _ in files})
    if missing := sorted(set(categories or ()) - set(known)):
        raise RecipeError(f"urls.categories: no list of `{missing[0]}` among {', '.join(known[:20]) or 'no files'}")
    files = [f for f in files if categories is None or f[0] in categories]
    stamps = [(c, os.path.abspath(f), os.stat(f).st_size, os.stat(f).st_mtime_ns) for c, f in files]
    name = hashlib.sha256(json.dumps([_FORM, stamps]).encode()).hexdigest()[:32] + ".list"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corpusmill" / "lists"
    target = folder / name
    with contextlib.suppress(OSError, ValueError, KeyError):  # absent, or torn by a loss of power
        return _opened(str(target), target.stat().st_mtime_ns)
    content = _compiled(files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(str(target), content, fsync=False)
    except OSError:  # a home that cannot be written
        target = Path(tempfile.mkdtemp(prefix="corpusmill-lists-")) / name
        write_atomic(str(target), content, fsync=False)
        return _opened(str(target), 0)
    return _opened(str(target), target.stat().st_mtime_ns)


def _files(path: str) -> Iterator[tuple[str, str]]:
    """(category, file) of everything that a path names."""
    here = Path(path)
    if here.is_file():
        yield _category(here), path
        return
    if not here.is_dir():
        raise RecipeError(f"{path}: a block list that is not there; name a file or a folder of lists")
    for file in sorted(p for p in here.rglob("*") if p.is_file()):
        hidden = any(part.startswith(".") for part in file.relative_to(here).parts)
        if not hidden and file.stem.lower() not in _SKIPPED and file.suffix not in (".gz", ".zip", ".md"):
            yield _category(file), str(file)


def _category(file: Path) -> str:
    name = file.parent.name if file.name in _UT1 else file.stem
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "list"


def _compiled(files: list[tuple[str, str]]) -> bytes:
    names = sorted({category for category, _ in files})
    if len(names) > 255:
        raise RecipeError(f"urls: {len(names)} categories of block lists; name at most 255 by `categories`")
    keys, kinds, hosts = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint8)], [np.zeros(0, np.uint64)]
    for category, file in files:
        for entries in _entries(file):
            keys.append(hash64(entries))
            kinds.append(np.full(len(entries), names.index(category), np.uint8))
            paths = entries.filter(pc.match_substring(entries, "/"))
            if len(paths):
                hosts.append(hash64(pc.replace_substring_regex(paths, "[/:].*", "")))
    key, kind = np.concatenate(keys), np.concatenate(kinds)
    order = np.lexsort((kind, key))  # an entry of two categories is of the first
    key, kind = key[order], kind[order]
    first = np.ones(len(key), np.bool_)
    first[1:] = key[1:] != key[:-1]
    body = key[first].tobytes(), np.unique(np.concatenate(hosts)).tobytes(), kind[first].tobytes()
    digest = hashlib.sha256(json.dumps(names).encode() + b"\0".join(body)).hexdigest()[:32]
    about = {"entries": int(first.sum()), "hosts": len(body[1]) // 8, "categories": names, "digest": digest}
    begin = 64 * (-(-(len(json.dumps(about)) + 24) // 64))
    header = json.dumps(about | {"begin": begin}).encode()
    return header + b"\n" + b"\0" * (begin - len(header) - 1) + b"".join(body)


def _entries(file: str) -> Iterator[pa.Array]:
    """Domains without `www.`, and addresses without scheme and `www.`, as strings, a chunk of the file at a time."""
    line, rest = 1, b""
    with open(file, "rb") as f:
        while True:
            data = f.read(_CHUNK)
            block, _, rest = (rest + data).rpartition(b"\n") if data else (rest, b"", b"")
            lines = block.decode("utf-8", "replace").replace(
                "\r", "\n" if "\n" not in block[:1000].decode("latin-1") else ""
            )
            texts = pa.array(lines.split("\n"), pa.string())
            yield _cleaned(texts, file, line)
            line += len(texts)
            if not data:
                return


def _cleaned(lines: pa.Array, file: str, line: int) -> pa.Array:
    texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(lines, _COMMENT, ""))
    texts = pc.replace_substring_regex(texts, _NUMBERS, "")
    texts = pc.replace_substring_regex(texts, r"^\|\|([^\^]*)\^.*$", r"\1")
    texts = pc.replace_substring_regex(texts, r"^(?:\*\.|\.)", "")
    odd = pc.match_substring_regex(texts, r"\s")
    if pc.any(odd).as_py():
        texts = pc.list_flatten(pc.split_pattern_regex(_hosts_of(texts, lines, odd, file, line), r"\s+"))
    texts = texts.filter(pc.not_equal(texts, ""))
    plain = pc.match_substring_regex(texts, r"^[a-z0-9._-]+$")
    domains = pc.replace_substring_regex(texts.filter(plain), r"^www\d?\.((?:[^.]+\.)+[^.]+)$", r"\1")
    others = texts.filter(pc.invert(plain))
    others = pc.replace_substring_regex(others, r"^(?:[A-Za-z]+:)?//", "")
    # a domain that cannot be written in ASCII names no page
    normal = addresses(pc.binary_join_element_wise("https://", others, "")).normal.drop_null()
    return pa.concat_arrays([domains, pc.replace_substring_regex(normal, "^https://", "")])


def _hosts_of(texts: pa.Array, lines: pa.Array, odd: pa.Array, file: str, line: int) -> pa.Array:
    """The texts, after checking that lines with several words are lines of a hosts file."""
    numbered = pc.match_substring_regex(pc.utf8_trim_whitespace(lines), _NUMBERS)
    bad = np.flatnonzero(pc.and_(odd, pc.invert(numbered)).to_numpy(zero_copy_only=False))
    if len(bad):
        at = int(bad[0])
        raise BadFileError(
            file,
            f"line {line + at} is no domain or address: {lines[at].as_py()[:80]!r}",
            "write one domain or address a line; `#` begins a comment",
        )
    return texts
