"""Packed rows in Hugging Face's Trainer: a small Llama whose attention stays within each document."""

import datasets
import transformers

shards = datasets.load_dataset("out/rows", split="train").with_format("torch")
vocabulary = transformers.PreTrainedTokenizerFast(tokenizer_file="tokenizer.json").vocab_size


def collate(rows: list) -> dict:
    """Rows as the model takes them: a mask by which a token sees earlier tokens of its own document only."""
    names = ("input_ids", "segment_ids", "position_ids")
    batch = transformers.default_data_collator([{name: row[name] for name in names} for row in rows])
    segment = batch.pop("segment_ids")
    same = segment[:, :, None] == segment[:, None, :]
    batch["attention_mask"] = same.tril()[:, None]
    batch["labels"] = batch["input_ids"].masked_fill(segment == 0, -100)  # no loss on padding
    batch["labels"][:, 1:].masked_fill_(segment[:, 1:] != segment[:, :-1], -100)  # nor on a document's first token
    return batch


model = transformers.LlamaForCausalLM(
    transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
)
arguments = transformers.TrainingArguments(
    "out/hf",
    max_steps=3,
    per_device_train_batch_size=4,
    remove_unused_columns=False,
    report_to=[],
    save_strategy="no",
    use_cpu=True,
)
trained = transformers.Trainer(model, arguments, train_dataset=shards, data_collator=collate).train()
print(f"loss {trained.training_loss:.3f} after {trained.global_step} steps")
