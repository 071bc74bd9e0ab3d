"""Sources: files of every supported format become record batches of documents, or rows that are quarantined with a reason.

`spec` is an entry of `sources:` in a recipe. `listing` and `files` find its files. `splits` cuts them into splits, each of
which one worker reads at a time. `read` opens each by its format. `schema` and `rows` bring columns into one form, `bad` holds
what is quarantined, `opened` tells faults of content from faults of disks and stores, `limits` and `compressed` refuse bombs.

`formats/` holds one module a source format, found by its file name; its docstring says how to add one. `format.Format` is
what such a module derives from: `name`, `extensions`, `magic`, `extra`, `ranges` (how a large file is cut), `schema`, `read`.
"""
