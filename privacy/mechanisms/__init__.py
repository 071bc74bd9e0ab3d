"""Noise that is correlated between steps, so that a part of what one step adds is taken back by later ones.

`toeplitz` has the algebra and the sensitivity, `strategy` finds the best matrix, `noise` draws the noise from the run's secret, and
`choice` says which mechanism and how many bands serve a run best.
"""
