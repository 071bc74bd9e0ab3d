"""Hugging Face models in our loop, and our decoder as a Llama checkpoint that `transformers`, vLLM and others load.

`transformers` is imported only to train its models; the export needs nothing but safetensors.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from corpusmill.training.model import Transformer, attention_mask
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

    def __init__(self, model: nn.Module, fresh: Iterable[str] = ()) -> None:
        """fresh: names of the model's parameters that its folder does not hold, such as those of a new head."""
        super().__init__()
        self.model = model
        self.fresh = {f"model.{name}" for name in fresh}

    @property
    def causal(self) -> bool:
        """Whether each token is told from those before it."""
        return "CausalLM" in type(self.model).__name__ or "LMHead" in type(self.model).__name__

    def forward(
        self,
        input_ids: Tensor,
        segment_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        target_ids: Tensor | None = None,
        target_segment_ids: Tensor | None = None,
        target_position_ids: Tensor | None = None,
    ) -> Tensor:
        fill = getattr(self.model.config, "pad_token_id", None)
        if fill is not None and segment_ids is not None:  # a causal classifier finds a row's end by it
            input_ids = input_ids.masked_fill(segment_ids == 0, fill)
        values: dict[str, Any] = {
            "input_ids": input_ids,
            "attention_mask": self._mask(segment_ids, target_ids is not None),
        }
        if position_ids is not None and target_ids is None and _accepts(self.model, "position_ids"):
            values["position_ids"] = position_ids
        if target_ids is not None:
            if target_segment_ids is not None and int(target_segment_ids.max()) > 1:
                raise RecipeError(
                    "Hugging Face encoder-decoders read one document a row; pack without packing documents together."
                )
            values["decoder_input_ids"] = target_ids
        elif _accepts(self.model, "use_cache"):
            values["use_cache"] = False
        return self.model(**values).logits

    def _mask(self, segment_ids: Tensor | None, seq2seq: bool) -> Tensor | None:
        """A mask of padding, or where rows hold several documents the additive one [B, 1, T, T]."""
        if segment_ids is None:
            return None
        if seq2seq or int(segment_ids.max()) <= 1:
            return (segment_ids != 0).long()
        allowed = attention_mask(segment_ids, segment_ids, self.causal)
        kind = next(self.model.parameters()).dtype
        return torch.zeros(allowed.shape, dtype=kind, device=allowed.device).masked_fill(
            ~allowed, torch.finfo(kind).min
        )


def _accepts(model: nn.Module, name: str) -> bool:
    import inspect

    return name in inspect.signature(model.forward).parameters


def _name(task: str) -> str:
    name = objective_class(task).transformers_class
    if not name:
        raise RecipeError(f"objective {task} is not for Hugging Face models.")
    return name


def shape(path: str, task: str) -> ModelSettings:
    """What our settings must know of a Hugging Face folder: the kind of model and the size of its vocabulary."""
    kind = _KINDS[_name(task)]
    with _loading(path, task):
        config = _transformers().AutoConfig.from_pretrained(path)
    return ModelSettings(kind=kind, layers=1, width=2, heads=1, vocabulary=config.vocab_size)


@contextlib.contextmanager
def _loading(path: str, task: str) -> Iterator[None]:
    """Any failure to read a folder as one error. A name that is no folder is refused before a hub is asked for it."""
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
    return Adapter(model.float(), about["missing_keys"])


@torch.no_grad()
def _tells_from_the_past(model: nn.Module) -> bool:
    """Whether a token's logits stay when the one behind it changes; `transformers` loads encoders as causal models, too."""
    first = model.eval()(input_ids=torch.tensor([[0, 1], [0, 2]])).logits[:, 0]
    return torch.allclose(first[0], first[1], rtol=1e-4, atol=1e-5)


_NAMES = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention_norm": "input_layernorm",
    "feed_norm": "post_attention_layernorm",
    "feed.gate": "mlp.gate_proj",
    "feed.up": "mlp.up_proj",
    "feed.down": "mlp.down_proj",
}


def export(model: nn.Module, folder: str | Path, tokenizer: str | Path | None = None, end: int | None = None) -> Path:
    """Write a decoder as a Llama checkpoint: config.json, model.safetensors and the tokenizer. Logits are equal.

    Raises RecipeError for a model that is no decoder.
    """
    from safetensors.torch import save_file

    if not isinstance(model, Transformer) or model.config.kind != "decoder":
        what = f"kind is {model.config.kind}" if isinstance(model, Transformer) else f"is a {type(model).__name__}"
        raise RecipeError(f"export: only a decoder of ours has a Llama-style checkpoint; this model {what}.")
    config = model.config
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, value in model.state_dict().items():
        part, _, kind = name.rpartition(".")
        if name.startswith("decoder.blocks."):
            number, inner = part.removeprefix("decoder.blocks.").split(".", 1)
            name = f"model.layers.{number}.{_NAMES[inner]}.{kind}"
        else:
            name = {"embedding": "model.embed_tokens", "decoder.norm": "model.norm", "head": "lm_head"}[
                part
            ] + f".{kind}"
        if not (config.tie and name.startswith("lm_head")):
            tensors[name] = value.detach().cpu().contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    values = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "bos_token_id": end,
        "eos_token_id": end,
        "head_dim": config.width // config.heads,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward,
        "max_position_embeddings": config.max_length or 2048,
        "mlp_bias": False,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.heads,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,  # read by transformers 4, the next by 5
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "tie_word_embeddings": config.tie,
        "torch_dtype": "float32",
        "vocab_size": config.vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
    if tokenizer is not None:
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
        tokens = {
            token["id"]: token["content"] for token in json.loads(Path(tokenizer).read_text()).get("added_tokens", [])
        }
        about = {"tokenizer_class": "PreTrainedTokenizerFast"} | ({"eos_token": tokens[end]} if end in tokens else {})
        (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n")
    return folder
