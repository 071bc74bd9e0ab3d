"""Models that answer: what steps and commands call to generate, score or label text.

`openers` registers how a model's name is opened; `local_model` serves a run of ours or a Hugging Face folder, `text_api` a
server's API, `linear` and `neighbours` small classifiers. `handler` runs a model in Beam's RunInference, `generate` samples
text by draws keyed by document, and `teach` gives a teacher's next-token distribution for distillation.
"""
