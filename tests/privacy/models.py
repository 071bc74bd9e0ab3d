"""Small models of every kind that trains privately, and rows for them."""

import torch
from torch import nn
from torch.nn import functional

from corpusmill.training.finetune import lora
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.finetune.soft_prompt import SoftPrompt
from corpusmill.training.model import Transformer
from corpusmill.training.settings import ModelSettings

VOCABULARY = 40
KINDS = ("decoder", "encoder", "encoder-decoder", "soft-prompt", "lora", "classifier")


def model(kind: str, width: int = 16, layers: int = 2, dropout: float = 0.0) -> nn.Module:
    """A model whose weights are large enough for every gradient to count."""
    base = kind if kind in ("encoder", "encoder-decoder") else "encoder" if kind == "classifier" else "decoder"
    shape = {"layers": layers, "width": width, "heads": 2, "vocabulary": VOCABULARY, "dropout": dropout}
    made: nn.Module = Transformer(ModelSettings(kind=base, **shape), seed=3)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(8.0 if p.dim() > 1 else 1.0)
    if kind == "soft-prompt":
        made = SoftPrompt(made, 3, seed=1)
    elif kind == "lora":
        made = lora.adapt(made, 2, 4.0, ("query", "value", "down"), seed=1)
        with torch.no_grad():
            for name, p in made.named_parameters():
                if name.endswith("up.weight"):
                    p.normal_(0, 0.3, generator=torch.Generator().manual_seed(5))
    elif kind == "classifier":
        made = Classifier(made, 5, seed=1)
    return made.train()


def rows(kind: str, count: int, length: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
    """Rows of different lengths, padded to `length`."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (count, length), generator=g)
    lengths = torch.randint(2, length + 1, (count, 1), generator=g)
    real = torch.arange(length)[None] < lengths
    batch = {"input_ids": ids, "segment_ids": real.long(), "position_ids": torch.arange(length).repeat(count, 1)}
    labels = torch.where(real, torch.randint(0, VOCABULARY, (count, length), generator=g), -100)
    if kind == "encoder-decoder":
        batch |= {"target_ids": torch.randint(1, VOCABULARY, (count, 5), generator=g)}
        labels = torch.randint(0, VOCABULARY, (count, 5), generator=g)
    if kind == "classifier":
        del batch["position_ids"]
        labels = torch.randint(0, 5, (count,), generator=g)
    return batch | {"labels": labels}


def row_losses(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """One loss a row: the mean over its own targets."""
    logits = model(**{name: column for name, column in batch.items() if name != "labels"})
    labels = batch["labels"]
    if labels.dim() == 1:
        return functional.cross_entropy(logits, labels, reduction="none")
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none")
    return losses.view(labels.shape).sum(1) / (labels != -100).sum(1).clamp(min=1)


def take(batch: dict[str, torch.Tensor], which: object) -> dict[str, torch.Tensor]:
    """Some rows of a batch."""
    return {name: column[which] for name, column in batch.items()}
