"""Eight bytes of text at once, in one 64-bit number (SIMD within a register: Lamport 1975, "Multiple byte processing with
full-word instructions")."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import intrinsic, njit

U = np.uint64
ONES = U(0x0101010101010101)
HIGH_BITS = U(0x8080808080808080)
"""The bit of each of eight bytes that is set beyond ASCII."""


@intrinsic
def _load64(typingctx: Any, array: Any, index: Any) -> Any:
    """Unaligned little-endian load of 8 bytes of a uint8 array; the caller guarantees that they exist."""
    from llvmlite import ir
    from numba import types

    signature = types.uint64(array, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = context.make_array(sig.args[0])(context, builder, args[0])
        address = builder.gep(view.data, [args[1]])
        pointer = builder.bitcast(address, ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return signature, codegen


@njit(inline="always")
def load64(data: Any, i: int) -> Any:
    """The 8 bytes of `data` from `i` on, as one little-endian uint64."""
    return _load64(data, np.int64(i))


@intrinsic
def trailing_zeros(typingctx: Any, x: Any) -> Any:
    """Zero bits below the lowest one of a uint64; 64 for 0."""

    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@njit(inline="always")
def find_byte(data: Any, start: int, stop: int, byte: int) -> Any:
    """Position of the first such byte in data[start:stop], or `stop`."""
    i = start
    while i + 8 <= stop:
        x = load64(data, i) ^ (ONES * U(byte))
        zero = (x - ONES) & ~x & HIGH_BITS  # only the lowest set bit is exact, and only it is used
        if zero:
            return i + np.int64(trailing_zeros(zero) >> U(3))
        i += 8
    while i < stop and data[i] != byte:
        i += 1
    return i


@njit(inline="always")
def char_count(data: Any, start: int, stop: int) -> int:
    """Code points of the UTF-8 text data[start:stop]: bytes that continue none."""
    n: Any = stop - start
    i = start
    while i + 8 <= stop:
        x = load64(data, i)
        n -= np.int64((((x >> U(7)) & ~(x >> U(6)) & ONES) * ONES) >> U(56))
        i += 8
    while i < stop:
        n -= (data[i] & 0xC0) == 0x80
        i += 1
    return n
