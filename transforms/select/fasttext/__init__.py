"""Supervised models of fastText (`.bin`, and quantised `.ftz`), read and scored here.

`file` reads a model's file, `features` turns texts into the rows of its input matrix, and `model` gives the probabilities that
fastText gives. Source: Joulin et al. 2016, "Bag of tricks for efficient text classification" and "FastText.zip"; the layout of
the files is that of versions 11 and 12.
"""
