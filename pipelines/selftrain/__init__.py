"""Self-training: a model labels text, a student learns from it, and held-out labels decide whether a round is kept.

`settings` is selftrain.yaml as a model, `rounds` runs the rounds, `labelling` asks a model for labels through Beam, and
`pseudo_labels` writes what was labelled as a dataset to train on.
"""
