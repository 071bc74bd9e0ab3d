"""Noise as augmentation, drawn by (seed, step, document): words (`noise`, `eda`, `aeda`, `synonyms`), `characters`,
`sentences`, and denoising objectives (`denoise`).

Helpers: `copies` is the base of steps that make noisy copies; `buffers` grows kernel output; `words` and `splitting` find
words and sentences; `unigrams` and `vocabulary` hold tables of words and tokens; `confusions` and `wordnet` hold replacements;
`objectives` has the kernels of `denoise`.
"""
