"""corpusmill: training data for language models, from raw text to packed shards.

The four packages below this one lie at the root of the repository; here they have the one name that users import.
"""
