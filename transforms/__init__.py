"""What is done to documents: sources, transforms of four kinds, and the columnar machinery under them.

Compiled kernels are cached below `~/.cache/corpusmill` (or where NUMBA_CACHE_DIR says), in a folder named by the content of
all kernels: numba looks for changes in a kernel's own file only, so that without this an upgrade that changes a function
which another file's kernel calls would go on with the old machine code.
"""

import hashlib
import os
from pathlib import Path


def _kernel_cache() -> str:
    """The folder for the kernels as they are in this installation."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*.py")):
        content = path.read_bytes()
        if b"njit" in content:
            digest.update(str(path.relative_to(here)).encode() + b"\0" + content)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(cache / "corpusmill" / "kernels" / digest.hexdigest()[:16])


# before anything imports numba, which reads it once; a user's own setting wins
os.environ.setdefault("NUMBA_CACHE_DIR", _kernel_cache())
