"""Selection of documents by learned decisions.

`quality` scores documents with trained classifiers, `top` keeps the highest values of any numeric column, and `select`
resamples documents towards a target text (DSIR). `_linear` is a classifier and its file, `_train` and `_learn` train it on the
count vectors of `_features`, and `_measure` says how good it is. `_scorers` opens these, the fastText models of `fasttext/`,
and classifiers behind handlers. `_quality_*` are the fields of `quality`, and its forms that see several documents at once.
`_ngrams` counts and weighs hashed word n-grams.
"""
