"""The switch that turns off what shortens start-up: `CORPUSMILL_PLAIN`, for debugging, and for who doubts it.

    CORPUSMILL_PLAIN=imports,kernels     a list of parts
    CORPUSMILL_PLAIN=all

Results are the same with each of them on or off. docs/startup.md says what each part does, why, and what it saves.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

from corpusmill.transforms.errors import RecipeError

Part = Literal["kernels", "imports", "graph", "sampling"]
"""kernels: compiled kernels are loaded without numba; imports: pandas and the clients of stores are hidden from Arrow and Beam
while these are imported; graph: small stages run without a Beam graph, and tasks run while Beam is imported; sampling: Beam's
state sampler sleeps 10 ms instead of 200."""
PARTS: tuple[Part, ...] = get_args(Part)
VARIABLE = "CORPUSMILL_PLAIN"


def plain(part: Part) -> bool:
    """Whether a part is turned off.

    Raises:
        RecipeError: the variable names something else.
    """
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    unknown = [name for name in names if name not in (*PARTS, "all")]
    if unknown:
        raise RecipeError(f"{VARIABLE}={unknown[0]}: there are {', '.join(PARTS)} and all")
    return part in names or "all" in names
