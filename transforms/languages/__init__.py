"""Language identification by n-grams of letters, for any languages that there is text of.

`_kernels` finds n-grams and adds up what they say, `_scripts` tells scripts apart, `_model` trains a model, and reads and
writes its file. The step `language` uses it.
"""
