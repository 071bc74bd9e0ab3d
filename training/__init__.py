"""The training stage: a model from packed rows or labelled text, read from top to bottom.

`settings` is train.yaml as a model; `build` makes data, model and loop from it; `loop` is the loop; `data` and `order` say which
rows come when, `objectives` what the loss is, `model` is the Llama-style network, `checkpoint` and `provenance` what is written.
`evaluate`, `metrics` and `distill` measure and distil; `private` is the loop with differential privacy; `average` and
`federated` serve several owners; `huggingface` and `vocabulary` translate to and from Hugging Face. Fine-tuning is in
`finetune/`, models that answer in `serving/`.
"""
