"""Whether bytes that were drawn afresh look like it."""

import numpy as np


def is_uniform(data: np.ndarray) -> bool:
    """By chi-square over the 256 values of a byte: 255 degrees of freedom, mean 255, deviation 22.6. Uniform bytes are nine
    deviations off once in 10^13 times."""
    seen = np.bincount(np.frombuffer(data.tobytes(), np.uint8), minlength=256)
    expected = seen.sum() / 256
    return bool(((seen - expected) ** 2 / expected).sum() < 255 + 9 * 22.6)
