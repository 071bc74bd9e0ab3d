"""The table of training objectives for `objective.name`. Imports no torch.

To add an objective, write a class derived from `corpusmill.training.objectives.Objective` and add one line here. The class says
by its ClassVars which models and which rows it trains on, and by `of` how it is made from the settings.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpusmill.training.objectives import Objective

OBJECTIVES = {
    "causal": "corpusmill.training.objectives:Causal",
    "masked": "corpusmill.training.objectives:Masked",
    "span": "corpusmill.training.objectives:SpanCorruption",
    "prefix": "corpusmill.training.objectives:PrefixLM",
    "classification": "corpusmill.training.finetune.classify:Classification",
    "text-to-text": "corpusmill.training.finetune.answers:TextToText",
    "instruction": "corpusmill.training.finetune.answers:Instruction",
    "distillation": "corpusmill.training.distill:Distillation",
}
"""Name -> module:class."""


def objective_class(name: str) -> type[Objective]:
    """The class of an objective of the table."""
    module, _, cls = OBJECTIVES[name].partition(":")
    return getattr(importlib.import_module(module), cls)
