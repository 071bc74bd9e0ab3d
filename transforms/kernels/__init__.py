"""Compiled kernels: numba's machine code, kept as object files that later processes load without importing numba.

`njit` is the decorator that all kernels use; `build` compiles a function into an object file, `cache` keeps and loads object
files, `numba_index` makes numba's own cache safe between processes, `cache_files` reads and writes files of the cache, and
`bits` are helpers that work on eight bytes at a time.
"""
