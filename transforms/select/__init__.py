"""Selection of documents by learned decisions.

`quality` scores documents with a trained classifier, `top` keeps the highest values of any numeric column, and `select`
resamples documents towards a target text (DSIR). `_linear` is the classifier: training, probabilities and its file;
`_ngrams` counts and weighs hashed word n-grams.
"""
