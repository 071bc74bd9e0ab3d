"""numba's own cache of a kernel, for several processes at a time.

numba (0.68) numbers the machine code of a function's signatures, and an index says whose is which. Two processes that compile
different signatures at one moment take the same number, and the index names, for good, the code of the other one. Here code lies
under a name that follows from its signature: whatever becomes of the index, a file holds what it is named for. An entry that one
of the two loses is compiled again.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba.core.caching import IndexDataCacheFile


class Index(IndexDataCacheFile):  # type: ignore[misc]  # numba has no types
    """The files of one function, named by their signatures."""

    def save(self, key: Any, data: Any) -> None:
        """Keep the code of a signature."""
        told = hashlib.sha256(repr((self._source_stamp, key)).encode()).digest()
        name = self._data_name(int.from_bytes(told[:8], "big"))
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


def by_signature(function: Any) -> Any:
    """numba's function, with a cache of this kind where it has one."""
    file = getattr(function._cache, "_cache_file", None)
    if file is not None:
        file.__class__ = Index
    return function
