"""Hugging Face models in our loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from corpusmill.training.model import attention_mask
from corpusmill.training.objective_table import objective_class
from corpusmill.training.settings import ModelSettings
from corpusmill.transforms.errors import DatasetError, MissingDependencyError, RecipeError

_KINDS: dict[str, Any] = {
    "AutoModelForCausalLM": "decoder",
    "AutoModelForMaskedLM": "encoder",
    "AutoModelForSeq2SeqLM": "encoder-decoder",
    "AutoModelForSequenceClassification": "encoder",
}


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError("Hugging Face models need `transformers`: pip install transformers") from error
    return transformers


class Adapter(nn.Module):
    """A model of `transformers` behind the interface of `Transformer`: ids, segments and positions in, logits out."""

    def __init__(self, model: Any, fresh: Iterable[str] = ()) -> None:
        """fresh: names of the model's parameters that its folder does not hold, such as those of a new head."""
        super().__init__()
        self.model: Any = model
        self.fresh = {f"model.{name}" for name in fresh}
        self.packed_by = ""
        self._packs: bool | None = None

    @property
    def causal(self) -> bool:
        """Whether each token is predicted from earlier tokens."""
        return "CausalLM" in type(self.model).__name__ or "LMHead" in type(self.model).__name__

    @property
    def writes(self) -> bool:
        """Whether it is an encoder-decoder that writes text."""
        return type(self.model).__name__.endswith("ForConditionalGeneration")

    def forward(
        self,
        input_ids: Tensor,
        segment_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        target_ids: Tensor | None = None,
        target_segment_ids: Tensor | None = None,
        target_position_ids: Tensor | None = None,
    ) -> Tensor:
        several = segment_ids is not None and int(segment_ids.max()) > 1
        if several and not (self.packs and target_ids is None):
            raise RecipeError(
                f"{type(self.model).__name__}: it cannot keep the documents of a row apart. Set data.pack: false, or pack one "
                "document a row."
            )
        fill = getattr(self.model.config, "pad_token_id", None)
        if fill is not None and segment_ids is not None:  # a causal classifier finds the end of a row by the padding id
            input_ids = input_ids.masked_fill(segment_ids == 0, fill)
        values: dict[str, Any] = {"input_ids": input_ids}
        if segment_ids is not None and several:
            values |= self._apart(segment_ids, self.packed_by)
        elif segment_ids is not None:
            values["attention_mask"] = (segment_ids != 0).long()
        if position_ids is not None and target_ids is None and not several and _accepts(self.model, "position_ids"):
            values["position_ids"] = position_ids + first_position(self.model)
        if target_ids is not None:
            values["decoder_input_ids"] = target_ids
        elif _accepts(self.model, "use_cache"):
            values["use_cache"] = False
        return self.model(**values).logits

    @property
    def packs(self) -> bool:
        """Whether rows may hold several documents. It is tried out once: a packed row must give what its documents give alone."""
        if self._packs is None:
            self._packs = any(self._tried(way) for way in _WAYS if way == "positions" or not _has_window(self.model))
        return self._packs

    @torch.no_grad()
    def _tried(self, way: str) -> bool:
        """Whether two short documents in a row have their own logits, if they are kept apart in this way."""
        was, device = self.model.training, next(self.model.parameters()).device
        # a padding id would be given the position of padding
        some = [i for i in range(1, 14) if i != getattr(self.model.config, "pad_token_id", None)][:12]
        ids = torch.tensor([some], device=device) % max(2, int(self.model.config.vocab_size))
        segments = torch.tensor([[1] * 5 + [2] * 7], device=device)
        self.model.eval()
        try:
            plain = {"use_cache": False} if _accepts(self.model, "use_cache") else {}
            row = self.model(input_ids=ids, **plain, **self._apart(segments, way)).logits
            alone = [self.model(input_ids=part, **plain).logits for part in (ids[:, :5], ids[:, 5:])]
            good = torch.allclose(row, torch.cat(alone, dim=1), rtol=1e-3, atol=1e-4)
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):  # a model without such an argument
            good = False
        self.model.train(was)
        if good:
            self.packed_by = way
        return good

    def _apart(self, segment_ids: Tensor, way: str) -> dict[str, Tensor]:
        """Arguments that keep the documents of rows apart.

        positions: positions that begin anew at each document, by which the model makes its own mask, with its own windows.
        mask: the additive mask float [B, 1, T, T].
        """
        place = torch.arange(segment_ids.shape[1], device=segment_ids.device).expand_as(segment_ids)
        first = torch.ones_like(segment_ids, dtype=torch.bool)
        first[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
        positions = place - torch.where(first, place, 0).cummax(dim=1).values
        out = {"position_ids": positions + first_position(self.model)} if _accepts(self.model, "position_ids") else {}
        if way == "positions":
            return out
        allowed = attention_mask(segment_ids, segment_ids, self.causal)
        kind = next(self.model.parameters()).dtype
        blank = torch.zeros(allowed.shape, dtype=kind, device=allowed.device)
        return out | {"attention_mask": blank.masked_fill(~allowed, torch.finfo(kind).min)}


_WAYS = ("positions", "mask")
_WINDOWS = ("sliding_window", "local_attention", "attention_window", "attention_chunk_size")


def _has_window(model: nn.Module) -> bool:
    """Whether a token of the model sees only near ones, in some layers: a mask from outside would lift this."""
    config = model.config
    return any(getattr(config, name, None) for name in _WINDOWS) and getattr(config, "use_sliding_window", True)


def first_position(model: nn.Module) -> int:
    """The number of a text's first position. The family of RoBERTa (XLM-R, CamemBERT, MPNet, ESM) keeps one row of its position
    embeddings for padding, and counts from the row behind it."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.padding_idx + 1
    return 0


def _accepts(model: nn.Module, name: str) -> bool:
    import inspect

    return name in inspect.signature(model.forward).parameters


def _name(task: str) -> str:
    name = objective_class(task).transformers_class
    if not name:
        raise RecipeError(f"objective {task} is not for Hugging Face models.")
    return name


def shape(path: str, task: str) -> ModelSettings:
    """The kind of model and the size of the vocabulary of a Hugging Face folder."""
    kind = _KINDS[_name(task)]
    with _loading(path, task):
        config = _transformers().AutoConfig.from_pretrained(path)
    return ModelSettings(kind=kind, layers=1, width=2, heads=1, vocabulary=config.vocab_size)


def kind_of(path: str, task: str) -> tuple[str, str]:
    """(kind of model, task) that a folder is opened for: a model asked to write may turn out to be an encoder-decoder."""
    with _loading(path, task):
        config = _transformers().AutoConfig.from_pretrained(path)
    if task == "causal" and getattr(config, "is_encoder_decoder", False):
        task = "text-to-text"
    return _KINDS[_name(task)], task


@contextlib.contextmanager
def _loading(path: str, task: str) -> Iterator[None]:
    """Turns any failure to read a folder into one error. A missing folder is refused before a hub is asked for it."""
    if not Path(path).is_dir():
        raise DatasetError(f"hf:{path}: there is no such folder. Give one with config.json and *.safetensors.")
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # the last: weights of another shape
        reason = str(error).splitlines()[0][:300]
        raise DatasetError(
            f"hf:{path}: cannot be loaded for {task} ({reason}). Give a folder with config.json and *.safetensors of such a model."
        ) from error


def load(path: str, task: str, classes: int = 0, seed: int = 0) -> Adapter:
    """The model in a Hugging Face folder, for an objective; what the folder lacks (a head) is drawn by `seed`.

    classes: of a head to train; 0: those that the folder has. Raises DatasetError.
    """
    options = {"num_labels": classes} if task == "classification" and classes else {}
    kind = getattr(_transformers(), _name(task))
    with _loading(path, task), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, about = kind.from_pretrained(path, use_safetensors=True, output_loading_info=True, **options)
    if task in ("causal", "instruction") and not _tells_from_the_past(model.float()):
        raise DatasetError(
            f"hf:{path}: is an encoder ({type(model).__name__}), whose tokens see those behind them: it would copy what it has to "
            "tell. Name a decoder, or the objective masked."
        )
    config = model.config
    if task == "classification" and getattr(config, "pad_token_id", None) is None:
        ends = [config.eos_token_id] if isinstance(config.eos_token_id, int) else config.eos_token_id or []
        config.pad_token_id = next((i for i in ends if i < config.vocab_size), 0)  # no document holds the end
    adapter = Adapter(model.float(), about["missing_keys"])
    if task != "classification" and not adapter.writes:
        _ = adapter.packs  # tried out before the model is shared out over processes
    return adapter


@torch.no_grad()
def _tells_from_the_past(model: nn.Module) -> bool:
    """Whether a token's logits are independent of the next token. `transformers` also loads encoders as causal
    models."""
    first = model.eval()(input_ids=torch.tensor([[0, 1], [0, 2]])).logits[:, 0]
    return torch.allclose(first[0], first[1], rtol=1e-4, atol=1e-5)
