"""A tokenizer.json, loaded once a process: batches of text in, (offsets, ids) arrays out, with the ids of HF `tokenizers`.

Three faster encoders were compared with HF on a corpus in 59 languages; all three gave its ids on every document.
gigatoken is used: the fastest, and it reads Arrow's buffers without a Python object a document. It must prove itself on
`PROBE` when a file is loaded; where it is not installed, cannot read the file or gives other ids, HF `tokenizers` encodes,
and `Tokenizer.reason` and a warning say why. The ids are the same either way, the speed is not.

Special tokens written out in a document are text like any other, so that no document can forge a boundary; with
`special_in_text` they become the special ids, as a chat template needs. `truncation`, `padding`, `dropout` and the template of
`post_processor` in the file are not applied: what is cut or added is decided where rows are made, and the same text always has
the same ids.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib.util
import json
import os
import warnings
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import BadFileError, MissingDependencyError, RecipeError

PROBE = (
    "The quick brown fox's 1,234.5 jumps -- don't! (x^2 != y)\r\n\n\tdef f(a):\n        return  a  \n   \n"
    "敏捷的棕色狐狸跳过了懒狗。2026年 速い茶色のキツネは、のろまな犬を飛び越えます。カタカナ 빠른 갈색 여우가 "
    "Быстрая лиса الثعلب البني ١٢٣ שועל हिन्दी १२ ไทย áéíóú e\u0301 ﬁ ﬀ Ⅷ ² ½ ß İ ſ "
    "😀👩‍👩‍👧🏽🇨🇳 \u00a0\u200b\u2028\ufeff\x00\x07\x1b[0m\x7f\u3000. <|x|> [MASK] </s> __init__ "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ================================ 'S 'LL n't  "
)
"""What a faster encoder must encode as HF does before it is trusted with a file."""


def token_dtype(vocab_size: int) -> np.dtype:
    """uint16 where every id fits, else int32."""
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.int32)


class Tokenizer:
    """An encoder for one tokenizer.json. Use `load_tokenizer`, which keeps it for the process.

    digest: SHA-256 of the file. engine: "gigatoken" or "tokenizers". reason: why not the faster one, or "".

    Raises:
        BadFileError: the file is missing or no tokenizer.json.
        MissingDependencyError: no encoder is installed.
    """

    def __init__(self, path: str, special_in_text: bool = False, engine: str | None = None) -> None:
        self.path = path
        data = _read(path)
        self.digest = hashlib.sha256(data).hexdigest()
        config = _parse(path, data)
        added = config.get("added_tokens") or []
        self.special = {str(t["content"]): int(t["id"]) for t in added if t.get("special")}
        vocab = config["model"].get("vocab") or {}
        ids = range(len(vocab)) if isinstance(vocab, list) else vocab.values()
        self._vocab = {} if isinstance(vocab, list) else vocab
        self._listed = [str(entry[0]) for entry in vocab] if isinstance(vocab, list) else []
        self.vocab_size = 1 + max([-1, *ids, *(int(t["id"]) for t in added)])
        self.dtype = token_dtype(self.vocab_size)
        plain = _plain(config, special_in_text)
        self._json = json.dumps(plain, ensure_ascii=False)
        self.engine, self.reason = "tokenizers", ""
        self._fast: Any = None
        if engine != "tokenizers":
            self._fast, self.reason = _gigatoken(self._json, plain.get("added_tokens") or [])
            if self._fast is not None and "tokenizers" in _installed():
                probe = PROBE + " ".join(self.special) + _around(plain.get("added_tokens") or [])
                if (
                    np.asarray(self._fast.encode(probe)).tolist()
                    != self._hf.encode(probe, add_special_tokens=False).ids
                ):
                    self._fast, self.reason = None, "gigatoken gives other ids than tokenizers for this file"
            if self._fast is not None:
                self.engine = "gigatoken"
            elif engine is None:
                warnings.warn(
                    f"{path}: encoding with HF tokenizers, 30 to 60 times slower: {self.reason}", stacklevel=3
                )
            else:
                raise MissingDependencyError(f"{path}: {self.reason}")

    @functools.cached_property
    def _hf(self) -> Any:
        try:
            import tokenizers
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.path}: encoding needs a library: {self.reason}. Run `pip install gigatoken` or `pip install tokenizers`."
            ) from error
        return tokenizers.Tokenizer.from_str(self._json)

    def encode(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(offsets int64 [n+1], ids uint32) of a string array; document i is ids[offsets[i]:offsets[i+1]].

        Nulls and empty strings have no ids.
        """
        if len(texts) == 0:
            return np.zeros(1, np.int64), np.empty(0, np.uint32)
        if self._fast is not None:
            return _encode_fast(self._fast, texts)
        rows = self._hf.encode_batch_fast(texts.fill_null("").to_pylist(), add_special_tokens=False)
        ids = [np.asarray(row.ids, np.uint32) for row in rows]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(i) for i in ids], out=offsets[1:])
        return offsets, np.concatenate(ids)

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids; special tokens are left out."""
        keep = np.asarray(ids)[~np.isin(ids, list(self.special.values()))]
        if self._fast is not None:
            return self._fast.decode(keep.astype(np.uint32)).decode("utf-8", "replace")
        return self._hf.decode(keep.tolist())

    def pieces(self) -> dict[str, int]:
        """The id of each token by its text in the file."""
        return (
            {text: i for i, text in enumerate(self._listed)}
            | {str(t): int(i) for t, i in self._vocab.items()}
            | self.special
        )

    def id_of(self, token: str, field: str) -> int:
        """The id of a token that a recipe names in `field`.

        Raises:
            RecipeError: the tokenizer has no such token.
        """
        number = self.special.get(token, self._vocab.get(token))
        if number is None:
            have = ", ".join(self.special) or "none"
            raise RecipeError(f"{field}: {token!r} is no token of {self.path}; its special tokens are: {have}")
        return int(number)


def load_tokenizer(path: str, special_in_text: bool = False) -> Tokenizer:
    """The tokenizer of a file, loaded once a process, and again when the file changes."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise _missing(path, error) from error
    return _load(os.path.abspath(path), special_in_text, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=8)
def _load(path: str, special_in_text: bool, mtime: int, size: int) -> Tokenizer:
    return Tokenizer(path, special_in_text)


def _missing(path: str, error: OSError) -> BadFileError:
    advice = "give the path of a tokenizer.json, or train one with corpusmill.transforms.tokens.train_tokenizer"
    return BadFileError(path, f"the tokenizer cannot be read ({error.strerror or error})", advice)


ORIGIN = ".origin.json"
"""FILE.origin.json beside a tokenizer notes its SHA-256 and what it was trained on."""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as error:
        raise _missing(path, error) from error
    try:
        with open(path + ORIGIN, "rb") as f:
            note = json.loads(f.read())
    except FileNotFoundError:  # of somebody else's make
        return data
    except (OSError, ValueError) as error:
        raise BadFileError(
            path + ORIGIN, f"cannot be read ({error})", "restore it, or train the tokenizer again"
        ) from error
    said = note.get("sha256") if isinstance(note, dict) else None
    if said != hashlib.sha256(data).hexdigest():
        advice = f"restore both files, or train it again; if you changed it on purpose, save it without {path}{ORIGIN}"
        raise BadFileError(path, "is not the tokenizer that was trained (its SHA-256 is not that of its note)", advice)
    return data


def _parse(path: str, data: bytes) -> dict[str, Any]:
    try:
        config = json.loads(data)
        if not isinstance(config["model"], dict):
            raise TypeError("its `model` is no object")
    except (ValueError, KeyError, TypeError) as error:
        advice = "give a tokenizer.json as HF tokenizers saves it"
        raise BadFileError(path, f"is no tokenizer.json ({type(error).__name__}: {error})", advice) from error
    return config


def _plain(config: dict[str, Any], special_in_text: bool) -> dict[str, Any]:
    """The file without what would cut, pad, wrap or draw at random, and without special tokens if those are text."""
    plain = copy.copy(config) | {"truncation": None, "padding": None, "post_processor": None}
    if config["model"].get("dropout"):  # merges left out at random, which is for training only
        plain["model"] = config["model"] | {"dropout": None}
    if not special_in_text:
        plain["added_tokens"] = [t for t in config.get("added_tokens") or [] if not t.get("special")]
    return plain


def _installed() -> set[str]:
    return {name for name in ("gigatoken", "tokenizers") if importlib.util.find_spec(name)}


def _around(added: list[dict[str, Any]]) -> str:
    """The added tokens within words, between spaces and beside each other."""
    return "".join(f" {t['content']} a{t['content']}b{t['content']}{t['content']}\n{t['content']}." for t in added)


def _gigatoken(text: str, added: list[dict[str, Any]]) -> tuple[Any, str]:
    """(gigatoken's encoder, "") or (None, the reason why not). added: the file's added tokens.

    Where an added token depends on the characters around it, no probe covers all of them.
    """
    for token in added:
        for flag in ("single_word", "lstrip", "rstrip"):
            if token.get(flag):
                return None, f"gigatoken does not know `{flag}`, which the added token {token['content']!r} has"
    try:
        import gigatoken
    except ImportError as error:
        return None, f"gigatoken is not installed ({error}); `pip install gigatoken`"
    try:
        return gigatoken.Tokenizer.from_json(text), ""
    except BaseException as error:  # a panic of its Rust code is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        return None, f"gigatoken cannot read this file ({error})"


def _encode_fast(encoder: Any, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    import awkward as ak  # type: ignore[import-untyped]

    offsets, data = string_buffers(texts)
    index = ak.index.Index64(offsets.astype(np.int64))
    content = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
    layout = ak.contents.ListOffsetArray(index, content, parameters={"__array__": "string"})
    # the calling thread only: shards are what runs in parallel here
    coded = encoder.encode_batch(ak.Array(layout), parallel=False).layout
    ends = np.asarray(coded.offsets.data)
    return ends - ends[0], np.asarray(coded.content.data)[ends[0] : ends[-1]]
