"""Hidden-state matching: the student learns the teacher's similarities between the tokens of a document.

    c(t, s) = cosine of the last hidden states of tokens t and s, before the output layer
    loss of token t = mean over the tokens s of its document of (c_student(t, s) - c_teacher(t, s))^2

Similarities do not depend on the width of the states, so student and teacher may differ in width and need no projection
layer (Tung and Mori 2019, between the examples of a batch; Park et al. 2019). The teacher runs beside the student,
without gradients, because its states are too large to store (D floats per token).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from corpusmill.transforms.errors import DatasetError, RecipeError

if TYPE_CHECKING:
    from torch import Tensor


class Teacher:
    """A run or checkpoint that returns its last hidden states. It is loaded on first use.

    Raises:
        DatasetError: there is no such run, or its tokenizer is not `tokenizer` (a digest).
        RecipeError: it is not a decoder.
    """

    def __init__(self, path: str, tokenizer: str = "") -> None:
        self.path, self.tokenizer = path, tokenizer
        self.model: Any = None

    def load(self) -> Any:
        """The model, on the CPU, in evaluation mode."""
        from corpusmill.training import build

        loaded = build.load(self.path)
        if loaded.settings.model.kind != "decoder" or loaded.classes:
            raise RecipeError(f"objective.states_of: {self.path} is no decoder language model.")
        if self.tokenizer and loaded.vocabulary.digest != self.tokenizer:
            raise DatasetError(
                f"objective.states_of: {self.path} reads another tokenizer ({loaded.vocabulary.digest[:12]}) than the data "
                f"({self.tokenizer[:12]}). Train the teacher on this tokenizer."
            )
        return loaded.model.requires_grad_(False)

    def states(self, inputs: dict[str, Tensor]) -> Tensor:
        """The states for these inputs, on their device: [B, T, D]."""
        import torch

        if self.model is None:
            self.model = self.load().to(inputs["input_ids"].device)
        with torch.no_grad():
            return with_states(self.model, lambda: self.model(**inputs))[1]


def with_states(model: Any, forward: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """(logits, what the output layer read [B, T, D]) of a forward pass of `model`, wrapped for many processes or not."""
    seen: list[Tensor] = []
    hook = output_layer(model).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        logits = forward()
    finally:
        hook.remove()
    return logits, seen[-1]


def output_layer(model: Any) -> Any:
    """The layer that turns states into logits. Raises RecipeError where a model has none."""
    from corpusmill.training.model import Transformer

    for module in model.modules():
        if isinstance(module, Transformer):
            return module.head
        if hasattr(module, "get_output_embeddings") and module.get_output_embeddings() is not None:
            return module.get_output_embeddings()
    raise RecipeError(
        f"objective.hidden: {type(model).__name__} has no output layer over tokens; train a language model."
    )


def relation_losses(student: Tensor, teacher: Tensor, segment_ids: Tensor | None = None) -> Tensor:
    """The loss of each token: float32 [B, T]. student [B, T, d], teacher [B, T, D]; padding is segment 0."""
    from torch.nn.functional import normalize

    own, others = (normalize(states.float(), dim=-1) for states in (student, teacher))
    square = (own @ own.transpose(1, 2) - others @ others.transpose(1, 2)).square()
    if segment_ids is None:
        return square.mean(dim=-1)
    same = (segment_ids[:, :, None] == segment_ids[:, None, :]).to(square)
    return (square * same).sum(dim=-1) / same.sum(dim=-1)
