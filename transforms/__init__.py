"""What is done to documents: sources, transforms of four kinds, and the columnar machinery under them.

Compiled kernels are cached below `~/.cache/corpusmill` (or where NUMBA_CACHE_DIR says), in a folder named by the content of
all kernels: numba looks for changes in a kernel's own file only, so that without this an upgrade that changes a function
which another file's kernel calls would go on with the old machine code.
"""

import functools
import hashlib
import os
from pathlib import Path


@functools.cache
def kernel_digest() -> str:
    """What the kernels of this installation are named by: the content of all files that have any, or that compile them."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*.py")):
        content = path.read_bytes()
        if b"njit" in content or path.parent.name == "kernels":
            digest.update(str(path.relative_to(here)).encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def _kernel_cache() -> str:
    """The folder for the kernels as they are in this installation."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(cache / "corpusmill" / "kernels" / kernel_digest())


# before anything imports numba, which reads it once; a user's own setting wins
if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = _kernel_cache()
