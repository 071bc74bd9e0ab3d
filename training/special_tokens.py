"""The special tokens that a Hugging Face model was trained with: read from its folder, never guessed from a list of names.

A fixed list cannot know that Llama-3 ends a turn with `<|eot_id|>`, that T5's decoder starts with its padding token, or that
BERT reads `[CLS]` before a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpusmill.transforms.errors import DatasetError, MissingDependencyError


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of a model's special tokens. They are kept in the state of a checkpoint."""

    end: int
    """Closes an answer in training."""
    ends: tuple[int, ...]
    """Each of these stops a generation; `end` is among them."""
    start: int
    """What the decoder of an encoder-decoder reads first."""
    before: tuple[int, ...] = ()
    """What the tokenizer puts before a text, such as [CLS] or a beginning of text."""
    after: tuple[int, ...] = ()
    """What the tokenizer puts behind a text, such as [SEP] or </s>."""
    mask: int | None = None
    """Hides a token of a masked language model."""

    def dump(self) -> dict[str, Any]:
        """The fields for a checkpoint's state."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> SpecialTokens | None:
        """The special tokens in a checkpoint's state; None for a run that had no Hugging Face base."""
        values = state.get("special_tokens")
        if values is None:
            return None
        lists = {name: tuple(values[name]) for name in ("ends", "before", "after")}
        return cls(**{**values, **lists})


def read(folder: str | Path) -> SpecialTokens | None:
    """The special tokens of the model in a Hugging Face folder; None where it has no tokenizer, or its files name no
    end token.

    The end is the tokenizer's `eos_token`: instruction-tuned models end a turn with it. Generation stops at this token and at
    each `eos_token_id` of generation_config.json and config.json.

    Raises:
        DatasetError: the tokenizer cannot be loaded.
        MissingDependencyError: `transformers` is not installed.
    """
    folder = Path(folder)
    if not (folder / "tokenizer.json").exists():
        return None
    tokenizer = tokenizer_of(folder)
    configs = [_json(folder / name) for name in ("generation_config.json", "config.json")]
    ends = _distinct(
        [
            tokenizer.eos_token_id,
            *(i for config in configs for i in _ids(config.get("eos_token_id"))),
            tokenizer.sep_token_id,
        ]
    )
    if not ends:
        return None
    starts = _distinct([config.get("decoder_start_token_id") for config in configs])
    firsts = _distinct([config.get("bos_token_id") for config in configs])
    before, after = _around(tokenizer, folder)
    return SpecialTokens(ends[0], tuple(ends), [*starts, *firsts, ends[0]][0], before, after, tokenizer.mask_token_id)


def tokenizer_of(folder: str | Path) -> Any:
    """The tokenizer of `transformers` in a folder, which no hub is asked for.

    Raises:
        DatasetError: it cannot be loaded.
        MissingDependencyError: `transformers` is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError("Hugging Face models need `transformers`: pip install corpusmill[hf]") from error
    folder = Path(folder)
    try:
        if (folder / "tokenizer_config.json").exists():
            return transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    except Exception as error:  # `tokenizers` raises plain Exception
        reason = str(error).splitlines()[0][:300]
        raise DatasetError(
            f"hf:{folder}: the tokenizer cannot be loaded ({reason}). Give a folder with tokenizer.json and, for special tokens, "
            "tokenizer_config.json."
        ) from error


def _around(tokenizer: Any, folder: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(ids before, ids behind) a text, as the tokenizer adds them by itself."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    for i in range(len(full) - len(plain) + 1):
        if full[i : i + len(plain)] == plain:
            return tuple(full[:i]), tuple(full[i + len(plain) :])
    raise DatasetError(
        f"hf:{folder}: its tokenizer changes a text when it adds special tokens. Name a tokenizer that puts them around the text."
    )


def _ids(value: Any) -> list[int]:
    return list(value) if isinstance(value, list) else [value]


def _distinct(ids: Iterable[int | None]) -> list[int]:
    return list(dict.fromkeys(int(i) for i in ids if i is not None))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}). Restore the file of the model.") from error
    return value if isinstance(value, dict) else {}
