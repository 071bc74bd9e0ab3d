"""Models that give a vector a text: static word vectors, and encoders of transformers.

    static:FOLDER       a folder of model2vec: tokenizer.json, and model.safetensors with `embeddings` [V, d]
    static:wordllama    the vectors that the package wordllama ships, if it is installed
    embed:FOLDER        a folder of sentence-transformers or transformers: the mean, or the first, of its last hidden states

A text goes through an encoder alone, so its vector does not depend on the texts beside it. What was asked is kept, by text.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.transforms.errors import BadFileError, DatasetError, MissingDependencyError
from corpusmill.transforms.versions import file_digest

KEPT = 8_192
"""Vectors of an encoder that are kept."""
_NAMES = ("embeddings", "embedding.weight")


def _static_files(spec: str) -> tuple[Path, Path]:
    """(weights, tokenizer) of a specification."""
    name = spec.partition(":")[2]
    if name == "wordllama":
        found = importlib.util.find_spec("wordllama")
        if found is None or not found.submodule_search_locations:
            raise MissingDependencyError(
                "vectors `static:wordllama` need the package wordllama: `pip install wordllama`"
            )
        home = Path(found.submodule_search_locations[0])
        return home / "weights/l2_supercat_256.safetensors", home / "tokenizers/l2_supercat_tokenizer_config.json"
    return Path(name) / "model.safetensors", Path(name) / "tokenizer.json"


def _digest(paths: Sequence[Path]) -> str:
    for path in paths:
        if not path.is_file():
            raise DatasetError(f"{path}: there is no such file; name a folder that holds the model")
    return hashlib.sha256("".join(file_digest(str(p)) for p in paths).encode()).hexdigest()[:32]


class StaticVectors:
    """The mean of the vectors of a text's tokens (model2vec; Tulkens and van Dongen 2024)."""

    def __init__(self, weights: Path, tokenizer: Path) -> None:
        try:
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingDependencyError(
                f"vectors of a static model need {error.name}: `pip install 'corpusmill[scorer,tokens]'`"
            ) from None
        tensors = load_file(str(weights))
        name = next((n for n in _NAMES if n in tensors), None)
        if name is None:
            raise BadFileError(str(weights), f"holds no `embeddings`, but {', '.join(sorted(tensors)) or 'nothing'}")
        table = tensors[name]
        if "mapping" in tensors:
            table = table[tensors["mapping"]]
        self.table = table.astype(np.float32)
        if "weights" in tensors:
            self.table = self.table * tensors["weights"].astype(np.float32)[:, None]
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.digest = _digest([weights, tokenizer])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, d]; zeros for a text without tokens."""
        out = np.zeros((len(texts), self.table.shape[1]), np.float32)
        for row, encoding in enumerate(self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)):
            ids = np.array(encoding.ids, np.int64)
            ids = ids[ids < len(self.table)]
            if len(ids):
                out[row] = self.table[ids].mean(axis=0)
        return out


class Encoder:
    """An encoder of transformers with the pooling that its folder names, else the mean."""

    def __init__(self, folder: Path) -> None:
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise MissingDependencyError(
                f"vectors of an encoder need {error.name}: `pip install 'corpusmill[train,hf]'`"
            ) from None
        home = folder / "0_Transformer" if (folder / "0_Transformer").is_dir() else folder
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(home), local_files_only=True)
        self.model: Any = AutoModel.from_pretrained(str(home), local_files_only=True, use_safetensors=True).eval()
        pooling = folder / "1_Pooling" / "config.json"
        about = json.loads(pooling.read_text(encoding="utf-8")) if pooling.is_file() else {}
        self.first = bool(about.get("pooling_mode_cls_token"))
        self.limit = int(getattr(self.model.config, "max_position_embeddings", 512) or 512)
        self.digest = encoder_digest(f"embed:{folder}")
        self._torch = torch
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, d]; zeros for a text without tokens."""
        return np.stack([self._one(text) for text in texts]) if texts else np.zeros((0, self._width()), np.float32)

    def _width(self) -> int:
        return int(self.model.config.hidden_size)

    def _one(self, text: str) -> np.ndarray:
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text]
        ids = self.tokenizer(text, truncation=True, max_length=min(self.limit, 512), return_tensors="pt")
        found = np.zeros(self._width(), np.float32)
        if text.strip() and ids["input_ids"].shape[1]:
            with self._torch.no_grad():
                states = self.model(**ids).last_hidden_state[0]
            found = (states[0] if self.first else states.mean(dim=0)).float().numpy()
        self._kept[text] = found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found


def open_static(spec: str) -> StaticVectors:
    """The opener of `static:`."""
    return StaticVectors(*_static_files(spec))


def encoder_digest(spec: str) -> str:
    """Digest of the files of an encoder."""
    folder = Path(spec.partition(":")[2])
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors", ".txt", ".model"))
    if not any(p.suffix == ".safetensors" for p in files):
        raise DatasetError(f"{folder}: holds no .safetensors; name the folder of a model")
    return _digest(files)


def open_encoder(spec: str) -> Encoder:
    """The opener of `embed:`."""
    return Encoder(Path(spec.partition(":")[2]))


open_static.digest = lambda spec: _digest(_static_files(spec))  # type: ignore[attr-defined]
open_encoder.digest = encoder_digest  # type: ignore[attr-defined]
