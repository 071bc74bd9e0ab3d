"""Documents as vectors: learned from the corpus itself, near-duplicates by meaning, clusters, balanced sampling.

A model of vectors and clusters is learned by one task from a sample of the corpus, which is drawn by ids; so it is the same for
any sharding. Vectors are int8: their products are whole numbers below 2^24, which float32 holds exactly in any order of sums.
"""
