"""Tiny Hugging Face models with random weights, each with the special tokens of its family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.training.conftest import sentences

LLAMA3_CHAT = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}


def _tokenizer(folder: Path, special: list[str], post: str = "", **about: Any) -> int:
    """A byte-level BPE of 300 ids and `special`; its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300 + len(special), special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(sentences(100), trainer)
    if post:
        named = [(token, made.token_to_id(token)) for token in special if token in post]
        made.post_processor = processors.TemplateProcessing(single=post, special_tokens=named)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", **about}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return int(made.get_vocab_size())


def write(folder: Path, kind: str) -> Path:
    """The folder of a model of this family."""
    import torch
    import transformers as t

    torch.manual_seed(7)
    if kind in ("llama3", "mistral", "gemma3"):
        special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
        names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "chat_template": LLAMA3_CHAT}
        size = _tokenizer(folder, special, "<|begin_of_text|> $A", **names)
        ids = {"vocab_size": size, "bos_token_id": 0, "eos_token_id": [1, 2], "pad_token_id": None}
        model: Any = {
            "llama3": lambda: t.LlamaForCausalLM(t.LlamaConfig(**GROUPED, **ids)),
            "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**GROUPED, **ids, sliding_window=6)),
            "gemma3": lambda: t.Gemma3ForCausalLM(
                t.Gemma3TextConfig(
                    **GROUPED, **ids, sliding_window=6, layer_types=["sliding_attention", "full_attention"]
                )
            ),
        }[kind]()
    elif kind == "qwen2":
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        size = _tokenizer(folder, special, eos_token="<|im_end|>", chat_template=QWEN_CHAT)
        model = t.Qwen2ForCausalLM(t.Qwen2Config(**SMALL, num_key_value_heads=2, vocab_size=size, eos_token_id=2))
    elif kind == "gpt2":
        size = _tokenizer(folder, ["<|endoftext|>"], eos_token="<|endoftext|>")
        config = t.GPT2Config(
            vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0
        )
        model = t.GPT2LMHeadModel(config)
    elif kind == "bert":
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
        size = _tokenizer(folder, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "[CLS] $A [SEP]", **names)
        model = t.BertForMaskedLM(t.BertConfig(**SMALL, vocab_size=size, max_position_embeddings=64))
    elif kind == "t5":
        size = _tokenizer(folder, ["<pad>", "</s>", "<unk>"], "$A </s>", eos_token="</s>", pad_token="<pad>")
        config = t.T5Config(vocab_size=size, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
        config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 0, 0, 1
        model = t.T5ForConditionalGeneration(config)
    elif kind == "bart":
        names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
        size = _tokenizer(folder, ["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", **names)
        model = t.BartForConditionalGeneration(
            t.BartConfig(
                vocab_size=size, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
                decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64,
                bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None,
            )
        )  # fmt: skip
    else:
        raise ValueError(kind)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return folder
