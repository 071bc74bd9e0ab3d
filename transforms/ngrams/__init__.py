"""N-gram language models: training, their file, perplexities of documents, and weights from them.

`perplexity` and `reweight` are steps. `_symbols` turns texts into numbers, `_counts` counts n-grams in bounded memory,
`_smoothing` makes probabilities of counts (modified Kneser-Ney), `_table` is the model and its file, `_kernels` look n-grams up,
`_arpa` reads models of other programs, and `_learning` trains a model on the documents of a run.
"""
