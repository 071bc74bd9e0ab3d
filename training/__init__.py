"""The training stage: a model from packed rows or labelled text, read from top to bottom.

`settings` is the model of train.yaml, and `build` makes data, model and objective from it. `loop` trains. `data` and
`order` decide which rows come when, `objectives` has the losses, and `model` is a Llama-style network. `checkpoint` and
`provenance` write files. `evaluate` and `metrics` measure, and `distill` learns from a teacher. `private` is the loop
with differential privacy; `average` and `federated` serve several owners. `huggingface` and `vocabulary` convert to and
from Hugging Face. `finetune/` has fine-tuning, `serving/` has models that answer.
"""
