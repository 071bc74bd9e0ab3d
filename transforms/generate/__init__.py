"""A model in the loop: steps that write, label or judge text (`generate`, `accepted`, `pseudo-label`, `class-balance`,
`synthetic-cap`, `distill`).

`model` says how a model is opened, `step` is the steps' base, `prompts` the prompts, `checks` and `select` decide which answers
count, `calibrate` calibrates scores, and `cache` stores answers, so that none is asked for twice.
"""
