"""Deduplication: `exact`, `minhash`, `lines`, `paragraphs`, `substring`.

Modules with a leading underscore are helpers of these steps: `_shingles` and `_sketch` turn text into MinHash keys, `_grouping`,
`_order` and `_candidates` decide which documents go, `_verify` confirms a pair by its Jaccard similarity, `_union_find` joins
clusters, `_parts`, `_windows`, `_winnow` and `_cut` find and cut repeated passages.
"""
