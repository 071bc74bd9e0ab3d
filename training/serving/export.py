"""A trained model as files that others load: ours as a Llama checkpoint, one of Hugging Face as it came, adapters as peft's.

The export of our decoder needs nothing but safetensors.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from torch import Tensor, nn

from corpusmill.training.finetune.lora import Adapted
from corpusmill.training.huggingface import Adapter
from corpusmill.training.model import Transformer
from corpusmill.training.settings import TuneSettings
from corpusmill.transforms.errors import RecipeError

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)


def theirs(model: Adapter, folder: str | Path, base: str | Path, classes: list[str]) -> Path:
    """Write a tuned Hugging Face model with `save_pretrained`, with the tokenizer files of its base. Adapters must be merged.

    classes: names of a classifier's classes, for `id2label` in config.json.
    """
    folder = Path(folder)
    if classes:
        model.model.config.id2label = dict(enumerate(classes))
        model.model.config.label2id = {name: i for i, name in enumerate(classes)}
    model.model.save_pretrained(folder)
    _copy_tokenizer(Path(base), folder)
    return folder


def adapters(model: Adapter, folder: str | Path, base: str | Path, tune: TuneSettings, task: str) -> Path:
    """Write the adapters alone, as `peft` reads them: adapter_config.json and adapter_model.safetensors.

    base: the folder of the model that they were trained on. A head that trained whole is in `modules_to_save`.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    names = []
    by_rows = False
    for name, module in model.model.named_modules():
        if isinstance(module, Adapted):
            names.append(name)
            by_rows |= module.by_rows
            tensors[f"base_model.model.{name}.lora_A.weight"] = module.down.weight
            tensors[f"base_model.model.{name}.lora_B.weight"] = module.up.weight
    heads = sorted({name.removeprefix("model.").rpartition(".")[0] for name in model.fresh})
    state = model.model.state_dict()
    for head in heads:
        tensors |= {f"base_model.model.{n}": value for n, value in state.items() if n.rpartition(".")[0] == head}
    save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, folder / "adapter_model.safetensors")
    about = {
        "peft_type": "LORA",
        "task_type": {"classification": "SEQ_CLS", "text-to-text": "SEQ_2_SEQ_LM"}.get(task, "CAUSAL_LM"),
        "base_model_name_or_path": str(base),
        "r": tune.rank,
        "lora_alpha": tune.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": by_rows,
        "inference_mode": True,
        "target_modules": names,
        "modules_to_save": heads or None,
    }
    (folder / "adapter_config.json").write_text(json.dumps(about, indent=2) + "\n")
    _copy_tokenizer(Path(base), folder)
    return folder


def _copy_tokenizer(base: Path, folder: Path) -> None:
    for name in _TOKENIZER_FILES:
        if (base / name).exists():
            shutil.copyfile(base / name, folder / name)


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


def ours(model: nn.Module, folder: str | Path, tokenizer: str | Path | None = None, end: int | None = None) -> Path:
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
