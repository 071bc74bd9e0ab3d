"""Sources: files of every supported format become record batches of documents, or rows that are quarantined with a reason.

`spec` is an entry of `sources:` in a recipe. `listing` and `files` find its files. `splits` cuts them into splits, each of
which one worker reads at a time. `read` opens each by its format (`parquet`, `arrow`, `jsonl`, `text`, `hf`, `machine_docs`).
`schema` and `rows` bring columns into one form, `bad` holds what is quarantined, `limits` and `compressed` refuse bombs.
"""
