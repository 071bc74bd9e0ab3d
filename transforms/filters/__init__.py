"""Filters: steps that keep or drop a document by its own text or columns, one rule set a module.

`rules` is their common base, `statistics` computes the text statistics that rule sets share in one pass, `phrases` finds listed
words and phrases.
"""
