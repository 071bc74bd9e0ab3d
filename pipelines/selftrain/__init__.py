"""Self-training: a model labels text, a student learns from it, and held-out labels decide whether a round is kept.

`settings` is the model of selftrain.yaml. `rounds` runs the rounds. `labelling` asks a model for labels through Beam.
`pseudo_labels` turns the answers into class probabilities.
"""
