"""Selection of documents by learned decisions: steps that compare documents with a target.

`select` resamples documents towards a target text (DSIR). `_ngrams` counts and scores hashed word n-grams.
"""
