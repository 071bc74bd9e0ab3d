"""Sources, transforms of five kinds, and the columnar machinery under them.

`base` has the kinds of transforms; each folder beside `sources`, `storage` and `kernels` holds steps, one a module. `document`,
`arrow`, `shards` and `exchange` are the data that steps work on, `unicode`, `words`, `hashing` and `random` what they share.

Compiled kernels are cached below `~/.cache/corpusmill` (or in NUMBA_CACHE_DIR), in a folder named by the content of all
kernels. numba looks for changes in a kernel's own file only; without this folder, an upgrade that changes a function which a
kernel of another file calls would keep the old machine code.
"""

import functools
import hashlib
import os
from pathlib import Path


@functools.cache
def kernel_digest() -> str:
    """Digest of all files that have kernels or compile them. It names the kernels of this installation."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*.py")):
        content = path.read_bytes()
        if b"njit" in content or path.parent.name == "kernels":
            digest.update(str(path.relative_to(here)).encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def _kernel_cache() -> str:
    """The folder for the kernels of this installation."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(cache / "corpusmill" / "kernels" / kernel_digest())


# numba reads this once, when it is imported; a user's own setting wins
if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = _kernel_cache()
