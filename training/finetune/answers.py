"""Fine-tuning on pairs of a prompt and an answer. The loss covers the answer.

A decoder reads both in one row and learns as `causal` does, with a loss mask on the answer. An encoder-decoder reads the prompt
and writes the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpusmill.training.objectives import Causal, Objective, Seq2Seq

if TYPE_CHECKING:
    from corpusmill.training.settings import TrainSettings
    from corpusmill.training.vocabulary import Vocabulary


class Answers(Objective):
    """Base of the objectives on pairs. `of` gives the objective that fits the kind of model."""

    kinds = ("decoder", "encoder-decoder")
    documents, pairs = True, True

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> Objective:
        return (
            Seq2Seq(vocabulary)
            if settings.model.kind == "encoder-decoder"
            else Causal(settings.objective.noise, vocabulary.size)
        )


class TextToText(Answers):
    """Pairs from the columns `text` and `target`."""

    columns = ("text", "target")
    transformers_class = "AutoModelForSeq2SeqLM"


class Instruction(Answers):
    """Pairs from prompt templates, over any columns."""

    columns = ()
    transformers_class = "AutoModelForCausalLM"
