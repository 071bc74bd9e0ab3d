"""WordNet's synonyms as one frozen table, built from its database files once a process (about two seconds).

Source: Fellbaum 1998, "WordNet: an electronic lexical database"; the file formats are those of its manual page wndb(5).
A word's part of speech is the one its senses are tagged with most often in the concordance (`cntlist.rev`), as texts carry
no tags. Regular plurals and verb forms are entries of their own, so that `dogs` gives `hounds` and not `hound`.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import BadFileError, MissingDependencyError
from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit

POS = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
FILES = (*(f"{kind}.{pos}" for pos in POS for kind in ("data", "index")), "noun.exc", "verb.exc", "cntlist.rev")

_FUNCTION_WORDS = """
    a about above after again against all almost also although always am among an and another any are around as at away
    be became because become been before being below between both but by came can cannot could did do does doing done down
    during each either else ever every few for from further get got had has have having he hence her here hers herself him
    himself his how however i if in into is it its itself just least less let like made make many may me might mine more most
    much must my myself near neither never no nor not now of off often on once one only onto or other others our ours out over
    own per quite rather really same several shall she should since so some still such than that the their theirs them then
    there these they this those though through thus to too toward two under until up upon us very was we well were what when
    where whether which while who whom whose why will with within without would yes yet you your yours"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())
"""Function words: WordNet knows some of them as nouns (`in`: inch) and none in the sense that a text has them."""


@dataclass(frozen=True)
class Synonyms:
    """e words with synonyms.

    slots int32 [2^b]: an open-addressed table of entries, -1 where empty; hashes uint64 [e]; first int32 [e + 1]: where each
    entry's synonyms begin in offsets int32 [s + 1], data uint8.
    """

    slots: np.ndarray
    hashes: np.ndarray
    first: np.ndarray
    offsets: np.ndarray
    data: np.ndarray

    @classmethod
    def of(cls, table: dict[str, list[str]]) -> Synonyms:
        """Builds the table from words (lower-case ASCII letters) and their synonyms."""
        words = sorted(w for w, s in table.items() if s and w.isascii() and w.isalpha())
        offsets, data = string_buffers(pa.array(words, pa.string()))
        hashes, slots = _slots(offsets, data)
        first = np.zeros(len(words) + 1, np.int32)
        np.cumsum([len(table[w]) for w in words], out=first[1:])
        offsets, data = string_buffers(pa.array([s for w in words for s in table[w]], pa.string()))
        return cls(slots, hashes, first, offsets.copy(), data.copy())

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays that kernels take."""
        return self.slots, self.hashes, self.first, self.offsets, self.data


@njit(nogil=True, cache=True)
def ascii_hash(data: Any, start: int, stop: int) -> Any:
    """64-bit hash of the lower-cased ASCII letters data[start:stop]; 0 if there is anything else."""
    h = U(0x9E3779B97F4A7C15)
    for i in range(start, stop):
        b = data[i] | 32
        if b < 97 or b > 122 or data[i] < 65:
            return U(0)
        h = (h ^ U(b)) * U(0x100000001B3)
    return mix64(h) | U(1)


@njit(nogil=True, cache=True)
def _slots(offsets: Any, data: Any) -> tuple[Any, Any]:
    n = len(offsets) - 1
    size = 16
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, np.int32)
    hashes = np.empty(n, np.uint64)
    for i in range(n):
        hashes[i] = ascii_hash(data, offsets[i], offsets[i + 1])
        at = np.int64(hashes[i] >> U(8)) & (size - 1)
        while slots[at] >= 0:
            at = (at + 1) & (size - 1)
        slots[at] = i
    return hashes, slots


@njit(nogil=True, cache=True)
def find_entry(data: Any, start: int, stop: int, slots: Any, hashes: Any) -> Any:
    """The entry of the word data[start:stop], or -1."""
    h = ascii_hash(data, start, stop)
    if h == U(0):
        return -1
    at = np.int64(h >> U(8)) & (len(slots) - 1)
    while slots[at] >= 0:
        if hashes[slots[at]] == h:
            return np.int64(slots[at])
        at = (at + 1) & (len(slots) - 1)
    return -1


@njit(nogil=True, cache=True)
def put_like(out: Any, used: int, words: Any, a: int, b: int, data: Any, start: int, stop: int) -> int:
    """Write words[a:b] with the case of data[start:stop]: first letter upper, all upper, or as it is."""
    first = data[start] < 97
    every = first and stop - start > 1
    for i in range(start, stop):
        every = every and data[i] < 97
    for i in range(a, b):
        c = words[i]
        if (every or (first and i == a)) and 97 <= c <= 122:
            c -= 32
        out[used] = c
        used += 1
    return used


def read_wordnet(folder: str | None) -> dict[str, str]:
    """The database files by name: from a folder, else from NLTK's data.

    Raises MissingDependencyError, which names the command that gets the data.
    """
    if folder is not None:
        missing = [n for n in FILES if not (Path(folder) / n).is_file()]
        if missing:
            raise MissingDependencyError(
                f"{folder}: no WordNet database there ({', '.join(missing)} missing). Give the folder with data.noun and its "
                "like (on Debian: apt install wordnet-base, then wordnet: /usr/share/wordnet)."
            )
        return {n: (Path(folder) / n).read_text("utf-8") for n in FILES}
    try:
        import nltk
    except ImportError:
        raise MissingDependencyError(
            "synonyms need NLTK for its WordNet. Run: pip install 'corpusmill[text]' && python -m nltk.downloader wordnet; or "
            "set `wordnet:` to the folder of a WordNet database."
        ) from None
    for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            root = nltk.data.find(place)
            return {n: root.join(n).open().read().decode("utf-8") for n in FILES}
        except (LookupError, OSError):
            continue
    raise MissingDependencyError(
        "synonyms need WordNet, which NLTK does not find. Run: python -m nltk.downloader wordnet; or set `wordnet:` to the "
        "folder of a WordNet database (on Debian: apt install wordnet-base, then wordnet: /usr/share/wordnet)."
    )


@functools.lru_cache(maxsize=4)
def load_synonyms(folder: str | None, senses: int, phrases: bool) -> Synonyms:
    """The synonym table, built once a process."""
    return Synonyms.of(synonym_lists(read_wordnet(folder), senses, phrases))


def synonym_lists(files: dict[str, str], senses: int, phrases: bool) -> dict[str, list[str]]:
    """Word -> synonyms from the first `senses` senses of its most frequent part of speech."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for line in files["cntlist.rev"].splitlines():
        sense, _, times = line.split(" ")
        lemma, _, rest = sense.partition("%")
        counts[lemma, {"5": "3"}.get(rest[0], rest[0])] += int(times)
    best: dict[str, tuple[int, str, list[str]]] = {}
    for pos, number in POS.items():
        synsets = _synsets(files[f"data.{pos}"], pos)
        for lemma, places in _index(files[f"index.{pos}"], pos):
            if not (lemma.isascii() and lemma.isalpha()) or len(lemma) < 3 or lemma in STOPWORDS:
                continue
            weight = counts.get((lemma, number), 0)
            if lemma in best and best[lemma][0] >= weight:
                continue
            synonyms = dict.fromkeys(w for p in places[:senses] for w in synsets[p] if w.lower() != lemma)
            best[lemma] = (
                weight,
                pos,
                [w.replace("_", " ") for w in synonyms if phrases or re.fullmatch("[A-Za-z-]+", w)],
            )
    table = {lemma: words for lemma, (_, _, words) in best.items() if words}
    return {**_inflected(files, best, set(best)), **table}


def _synsets(text: str, pos: str) -> dict[str, list[str]]:
    """Offset -> words of the synset."""
    out = {}
    try:
        for line in text.splitlines():
            if line[0] != " ":
                place, _, _, count, rest = line.split(" ", 4)
                n = int(count, 16)
                out[place] = [w.partition("(")[0] for w in rest.split(" ", 2 * n)[: 2 * n : 2]]
    except (ValueError, IndexError):
        raise BadFileError(f"data.{pos}", "not a WordNet data file", "install WordNet 3.0 or later anew") from None
    return out


def _index(text: str, pos: str) -> Iterator[tuple[str, list[str]]]:
    """(lemma, offsets of its synsets, the most frequent first)."""
    for line in text.splitlines():
        if line[0] != " ":
            parts = line.split()
            yield parts[0], parts[-int(parts[2]) :]


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else word + "s"


def _past(word: str) -> str:
    if word.endswith("e"):
        return word + "d"
    return word[:-1] + "ied" if word.endswith("y") and word[-2:-1] not in "aeiou" else word + "ed"


def _gerund(word: str) -> str:
    if word.endswith("ie"):
        return word[:-2] + "ying"
    return word[:-1] + "ing" if word.endswith("e") and not word.endswith(("ee", "oe", "ye")) else word + "ing"


def _inflected(
    files: dict[str, str], best: dict[str, tuple[int, str, list[str]]], lemmas: set[str]
) -> dict[str, list[str]]:
    """Regular forms of words and of their synonyms; words of either side with irregular forms are left out."""
    irregular = {p: {b for x in files[f"{p}.exc"].splitlines() for b in x.split()[1:]} for p in ("noun", "verb")}
    out: dict[str, list[str]] = {}
    for lemma, (_, pos, words) in best.items():
        if pos not in irregular or lemma in irregular[pos]:
            continue
        usable = [w for w in words if w.isalpha() and w.islower() and w not in irregular[pos]]
        for form in (_plural,) if pos == "noun" else (_plural, _past, _gerund):
            inflected = form(lemma)
            if usable and inflected not in lemmas and inflected not in STOPWORDS:
                out.setdefault(inflected, [form(w) for w in usable])
    return out
