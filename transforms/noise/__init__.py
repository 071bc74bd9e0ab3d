"""Noise as augmentation, drawn by (seed, step, document): words (`noise`, `eda`, `aeda`, `synonyms`), `characters`,
`sentences`, and denoising objectives (`denoise`).

Helpers: `copies` is the base of steps that make noisy copies, `buffers` and `words` cut Arrow text into words, `splitting` cuts
sentences, `unigrams` and `vocabulary` hold word tables, `confusions` and `wordnet` say what replaces what.
"""
