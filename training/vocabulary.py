"""Facts about a tokenizer for training: size, digest, special ids, and the bytes of each token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.training.special_tokens import SpecialTokens
from corpusmill.transforms.tokens.tokenizer import load_tokenizer

_ENDS = ("</s>", "<|endoftext|>", "<|end|>", "<eos>", "[SEP]")
_MASKS = ("<mask>", "[MASK]", "<|mask|>")
_SENTINELS = ("<extra_id_{}>", "<|sentinel_{}|>", "<sentinel_{}>", "<|extra_id_{}|>")
SENTINELS = 100


class Vocabulary:
    """A tokenizer.json and the ids that objectives need.

    `end` closes an answer, `mask` hides a token, `sentinels` int64 [100] stand for cut spans. Those that the tokenizer lacks
    get ids behind its own: `size` counts the tokenizer's ids, `extended_size` these too. So one tokenised corpus serves every
    objective. `special`: the ids around texts, see `SpecialTokens`; `named`: the same, where a Hugging Face model names them.
    """

    def __init__(self, path: str | Path, special: SpecialTokens | None = None) -> None:
        """special: of a Hugging Face model; without it, the tokenizer's own names decide."""
        self.path = str(path)
        self.tokenizer = load_tokenizer(self.path)
        self.json = json.loads(Path(path).read_bytes())
        self.digest, self.size = self.tokenizer.digest, self.tokenizer.vocab_size
        added = {t["content"]: int(t["id"]) for t in self.json.get("added_tokens") or []}
        self._tokens = {**self._model_tokens(), **added}
        self.extended_size = self.size
        self.named = special
        self.end = special.end if special else self._first(_ENDS)
        known = special.mask if special else None
        self.mask = self._first(_MASKS) if known is None else known
        self.special = special or SpecialTokens(self.end, (self.end,), self.end)
        named = [[self._tokens.get(p.format(i)) for i in range(SENTINELS)] for p in _SENTINELS]
        own = next((ids for ids in named if None not in ids), None)
        if own is None:
            own = list(range(self.extended_size, self.extended_size + SENTINELS))
            self.extended_size += SENTINELS
        self.sentinels: np.ndarray = np.array(own, np.int64)

    def _model_tokens(self) -> dict[str, int]:
        tokens = self.json["model"].get("vocab") or {}
        return dict(tokens) if isinstance(tokens, dict) else {pair[0]: i for i, pair in enumerate(tokens)}

    def _first(self, names: tuple[str, ...]) -> int:
        token = next((self._tokens[name] for name in names if name in self._tokens), None)
        if token is None:
            token = self.extended_size
            self.extended_size += 1
        return token

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """Token ids of each text, without special tokens: int64 arrays."""
        offsets, ids = self.tokenizer.encode(pa.array(texts, pa.string()))
        return [ids[offsets[i] : offsets[i + 1]].astype(np.int64) for i in range(len(texts))]

    def read(self, texts: list[str]) -> list[np.ndarray]:
        """What an encoder or a classifier reads of each text: its ids with the tokens that its model puts around a text."""
        before, after = np.array(self.special.before, np.int64), np.array(self.special.after, np.int64)
        return [np.concatenate((before, ids, after)) for ids in self.encode(texts)]

    def prompts(self, texts: list[str]) -> list[np.ndarray]:
        """What a decoder reads of each text before it goes on: its ids behind the tokens that its model begins with."""
        before = np.array(self.special.before, np.int64)
        return [np.concatenate((before, ids)) for ids in self.encode(texts)]

    def decode(self, ids: list[int] | np.ndarray) -> str:
        """Text of the ids; special ids, the tokenizer's and those behind it, are left out."""
        kept = np.asarray(ids, np.int64)
        return self.tokenizer.decode(kept[kept < self.size])

    def bytes_of_tokens(self) -> np.ndarray:
        """UTF-8 bytes that each id stands for: int64 [extended_size]; special ids stand for none.

        A byte-level token has one character a byte; else a metaspace is a blank, `##` nothing, `<0xNN>` one byte.
        """
        byte_level = "ByteLevel" in json.dumps([self.json.get("pre_tokenizer"), self.json.get("decoder")])
        out = np.zeros(self.extended_size, np.int64)
        for token, i in self._tokens.items():
            if token in self.tokenizer.special:
                continue
            if byte_level:
                out[i] = len(token)
            elif len(token) == 6 and token.startswith("<0x"):
                out[i] = 1
            else:
                out[i] = len(token.removeprefix("##").replace("▁", " ").encode())
        return out
