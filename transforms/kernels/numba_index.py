"""Makes numba's own cache safe for several processes at a time.

numba (0.68) numbers the machine code of a function's signatures in an index. Two processes that compile different signatures at
the same time take the same number, and one entry of the index then names the code of the other for good. Here a file is named by
its signature, so it holds the right code whatever the index says. An entry that is lost is compiled again.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba.core.caching import IndexDataCacheFile


class Index(IndexDataCacheFile):  # type: ignore[misc]  # numba has no types
    """The files of one function, named by their signatures."""

    def save(self, key: Any, data: Any) -> None:
        """Keep the code of a signature."""
        digest = hashlib.sha256(repr((self._source_stamp, key)).encode()).digest()
        name = self._data_name(int.from_bytes(digest[:8], "big"))
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


def by_signature(function: Any) -> Any:
    """`function` with this kind of cache, where it has a cache."""
    file = getattr(function._cache, "_cache_file", None)
    if file is not None:
        file.__class__ = Index
    return function
