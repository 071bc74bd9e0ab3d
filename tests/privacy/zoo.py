"""Tiny models of Hugging Face's families, with random weights, and rows for them."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from corpusmill.training.huggingface import Adapter

VOCABULARY = 50
_BERT = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_BERT |= {"intermediate_size": 32, "max_position_embeddings": 32}
_LLAMA = _BERT | {"num_attention_heads": 4, "num_key_value_heads": 2}
_DISTIL = {
    "vocab_size": VOCABULARY,
    "dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 32,
    "max_position_embeddings": 32,
}
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
_T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_MODERN = _BERT | _SPECIAL | {"num_hidden_layers": 3, "cls_token_id": 1, "sep_token_id": 2}

FAMILIES: dict[str, tuple[str, str, str, dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    # name: kind of rows, model class, config class, config, layers for adapters, what must be frozen to train the rest
    "bert-mlm": ("masked", "BertForMaskedLM", "BertConfig", _BERT, ("query", "value"), ()),
    "bert-cls": ("class", "BertForSequenceClassification", "BertConfig", _BERT, ("query", "value"), ()),
    "roberta-cls": ("class", "RobertaForSequenceClassification", "RobertaConfig", _BERT | {"pad_token_id": 1}, ("query",), ()),
    "roberta-mlm": ("masked", "RobertaForMaskedLM", "RobertaConfig", _BERT | {"pad_token_id": 1}, ("query",), ()),
    "distilbert-mlm": ("masked", "DistilBertForMaskedLM", "DistilBertConfig", _DISTIL, ("q_lin", "v_lin"), ()),
    "distilbert-cls": ("class", "DistilBertForSequenceClassification", "DistilBertConfig", _DISTIL, ("q_lin",), ()),
    "albert-cls": ("class", "AlbertForSequenceClassification", "AlbertConfig", _BERT | {"embedding_size": 8}, ("query",), ()),
    "electra-cls": ("class", "ElectraForSequenceClassification", "ElectraConfig", _BERT | {"embedding_size": 8}, ("query",), ()),
    "deberta-cls": (
        "class", "DebertaV2ForSequenceClassification", "DebertaV2Config",
        _BERT | {"relative_attention": True, "position_buckets": 4, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm",
                 "share_att_key": True, "position_biased_input": False, "pooler_hidden_size": 16},
        ("value_proj",), ("encoder.LayerNorm", "rel_embeddings", "query_proj", "key_proj"),
    ),
    "modernbert-mlm": ("masked", "ModernBertForMaskedLM", "ModernBertConfig", _MODERN, ("Wqkv",), ()),
    "modernbert-cls": ("class", "ModernBertForSequenceClassification", "ModernBertConfig", _MODERN, ("Wqkv", "Wo"), ()),
    "gpt2": ("causal", "GPT2LMHeadModel", "GPT2Config", _GPT2, ("c_attn",), ()),
    "gpt2-cls": ("class", "GPT2ForSequenceClassification", "GPT2Config", _GPT2 | {"pad_token_id": 0}, ("c_attn",), ()),
    "gpt-neo": (
        "causal", "GPTNeoForCausalLM", "GPTNeoConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "window_size": 4,
         "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 32},
        ("q_proj", "v_proj"), (),
    ),
    "pythia": ("causal", "GPTNeoXForCausalLM", "GPTNeoXConfig", _BERT | {"tie_word_embeddings": False}, ("query_key_value",), ()),
    "opt": (
        "causal", "OPTForCausalLM", "OPTConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32,
         "max_position_embeddings": 32, "word_embed_proj_dim": 16},
        ("q_proj", "v_proj"), (),
    ),
    "bloom": (
        "causal", "BloomForCausalLM", "BloomConfig", {"vocab_size": VOCABULARY, "hidden_size": 16, "n_layer": 2, "n_head": 2},
        ("query_key_value",), (),
    ),
    "llama": ("causal", "LlamaForCausalLM", "LlamaConfig", _LLAMA | {"attention_dropout": 0.3}, ("q_proj", "v_proj"), ()),
    "qwen2": ("causal", "Qwen2ForCausalLM", "Qwen2Config", _LLAMA | {"tie_word_embeddings": True}, ("q_proj", "v_proj"), ()),
    "qwen3": ("causal", "Qwen3ForCausalLM", "Qwen3Config", _LLAMA | {"head_dim": 4}, ("q_proj", "v_proj"), ()),
    "mistral": ("causal", "MistralForCausalLM", "MistralConfig", _LLAMA | {"sliding_window": 4}, ("q_proj", "v_proj"), ()),
    "phi3": ("causal", "Phi3ForCausalLM", "Phi3Config", _LLAMA | _SPECIAL, ("qkv_proj",), ()),
    "gemma": ("causal", "GemmaForCausalLM", "GemmaConfig", _LLAMA | {"head_dim": 4}, ("q_proj", "v_proj"), ()),
    "gemma2": ("causal", "Gemma2ForCausalLM", "Gemma2Config", _LLAMA | {"head_dim": 4, "sliding_window": 4}, ("q_proj",), ()),
    "gemma3": ("causal", "Gemma3ForCausalLM", "Gemma3TextConfig", _LLAMA | {"head_dim": 4, "sliding_window": 4}, ("q_proj",), ()),
    "olmo2": ("causal", "Olmo2ForCausalLM", "Olmo2Config", _LLAMA | {"pad_token_id": 0}, ("q_proj", "v_proj"), ()),
    "mixtral": (
        "causal", "MixtralForCausalLM", "MixtralConfig", _LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 2},
        ("q_proj", "v_proj"), ("gate", "experts"),
    ),
    "t5": ("pair", "T5ForConditionalGeneration", "T5Config", _T5, ("q", "v"), ("relative_attention_bias",)),
    "t5-gated": (
        "pair", "T5ForConditionalGeneration", "T5Config", _T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"},
        ("q", "v"), ("relative_attention_bias",),
    ),
    "bart": (
        "pair", "BartForConditionalGeneration", "BartConfig",
        {"vocab_size": VOCABULARY, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 32,
         "pad_token_id": 1},
        ("q_proj", "v_proj"), ("embed_positions",),
    ),
    "mamba": (
        "causal", "MambaForCausalLM", "MambaConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "time_step_rank": 4},
        ("in_proj",), ("mixer",),
    ),
}  # fmt: skip


def model(family: str) -> Adapter:
    """A model of a family in training mode, dropout as its config has it, all weights random and large enough to count."""
    kind, of, config, values, _, _ = FAMILIES[family]
    torch.manual_seed(0)
    labels = {"num_labels": 4} if kind == "class" else {}
    made = getattr(transformers, of)(getattr(transformers, config)(**values, **labels)).float()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            if p.dim() > 1:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.35)
            else:
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    made.tie_weights()
    return Adapter(made).train()


def rows(family: str, count: int, length: int = 9, seed: int = 1) -> dict[str, torch.Tensor]:
    """Rows of different lengths with labels."""
    kind = FAMILIES[family][0]
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (count, length), generator=g)
    real = torch.arange(length)[None] < torch.randint(3, length + 1, (count, 1), generator=g)
    batch = {"input_ids": ids, "segment_ids": real.long()}
    if kind == "class":
        return batch | {"labels": torch.randint(0, 4, (count,), generator=g)}
    if kind == "pair":
        target = torch.randint(3, VOCABULARY, (count, 5), generator=g)
        return batch | {"target_ids": target, "labels": torch.randint(3, VOCABULARY, (count, 5), generator=g)}
    labels = torch.where(real, torch.randint(3, VOCABULARY, (count, length), generator=g), -100)
    return batch | {"position_ids": torch.arange(length).repeat(count, 1), "labels": labels}
