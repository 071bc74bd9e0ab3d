"""`njit` of numba for this project, without numba where the machine code is there already.

    from corpusmill.transforms.kernels.njit import njit

    @njit(inline="always")              # a helper of other kernels
    @njit(nogil=True, cache=True)       # a kernel, called from Python

A kernel is compiled by numba when it is first called with arguments of some types, kept as an object file
(`corpusmill.transforms.kernels.cache`), and called through it from then on, in this process and in later ones; those never import
numba. Kernels and helpers may call each other, and numba's own functions may call them. What an object file cannot do
(arguments that are neither arrays nor numbers; an error inside) numba does.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

_compiling = threading.RLock()


class Intrinsic:
    """A function that writes its own machine code, known to numba from the moment that anything asks for it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)  # type: ignore[arg-type]  # no function itself
        self._function = function

    @functools.cached_property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target
        from numba.extending import intrinsic

        made = intrinsic(self._function)
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
        return cpu_target.typing_context.resolve_value_type(made)


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba's `intrinsic`; numba and llvmlite are for the function to import, when it is called."""
    return Intrinsic(function)


_SCALARS = {int: "i", np.int64: "i", np.uint64: "u", float: "f", np.float64: "f", bool: "b", np.bool_: "b"}


def signature(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What decides which machine code serves arguments: ("<i4", dimensions, layout, writeable) of an array, a letter of a
    number; None if there is an argument of another kind."""
    key: list[Any] = []
    for a in args:
        if type(a) is np.ndarray:
            if a.dtype.kind not in "iufb" or not a.dtype.isnative:
                return None
            flags = a.flags
            layout = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
            key.append((a.dtype.str, a.ndim, layout, flags.writeable))
        else:
            letter = _SCALARS.get(type(a))
            if letter is None:
                return None
            key.append(letter)
    return tuple(key)


class _Memory:
    """Memory that a kernel gave back, as numpy asks for it; gone with the last array over it."""

    def __init__(self, release: Any, owner: int, args: Any, interface: dict[str, Any]) -> None:
        # without an owner it is that of an argument
        self._release, self._owner, self._args = release, owner, None if owner else args
        self.__array_interface__ = interface

    def __del__(self) -> None:
        if self._owner:
            self._release(self._owner)


RESULTS = 64
"""Slots for what a kernel gives back."""
_Results = ctypes.c_int64 * RESULTS


class _Entry:
    """Machine code for arguments of one signature."""

    def __init__(self, name: str, code: bytes, result: Any) -> None:
        from corpusmill.transforms.kernels.cache import load

        self._call, self._release = load(name, code)
        self._result = result

    def __call__(self, args: tuple[Any, ...]) -> tuple[bool, Any]:
        """(whether it came to its end, what it returns)."""
        slots: list[int] = []
        for a in args:
            if type(a) is np.ndarray:
                slots += (a.ctypes.data, *a.shape, *a.strides)
            elif isinstance(a, float):
                slots += struct.unpack("q", struct.pack("d", a))
            else:
                slots.append(int(a))
        out = _Results()
        if self._call((ctypes.c_int64 * len(slots))(*slots), out):
            return False, None
        return True, self._value(self._result, iter(out), args)

    def _value(self, told: Any, out: Any, args: Any) -> Any:
        if told is None:
            return None
        if isinstance(told, list):
            return tuple([self._value(t, out, args) for t in told])
        if told == "i":
            return next(out)
        if told == "u":
            return next(out) & 0xFFFFFFFFFFFFFFFF
        if told == "f":
            return struct.unpack("d", struct.pack("q", next(out)))[0]
        if told == "b":
            return bool(next(out))
        dtype, _, ndim = told.partition("*")
        n = int(ndim)
        owner, data = next(out), next(out)
        shape = tuple([next(out) for _ in range(n)])
        strides = tuple([next(out) for _ in range(n)])
        interface = {"data": (data, False), "shape": shape, "strides": strides, "typestr": dtype, "version": 3}
        return np.asarray(_Memory(self._release, owner, args, interface))


_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def _source_of(function: Callable[..., Any]) -> str | None:
    """What a function's machine code depends on besides `kernel_digest`: the content of its file, where it is not of this
    package. None for one that is not told by its source: of a notebook, or with variables of a function around it."""
    path = function.__code__.co_filename
    if function.__closure__:
        return None
    if path.startswith(_PACKAGE):
        return ""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


class Kernel:
    """A function of arrays and numbers as machine code; for numba, one of its own."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        # numba reads these where it puts a function inside another
        self.py_func, self.targetoptions = function, options
        self._entries: dict[Any, Any] = {}
        self._arguments = function.__code__.co_argcount

    @functools.cached_property
    def dispatcher(self) -> Any:
        """numba's function."""
        import numba

        from corpusmill.transforms.kernels.numba_index import by_signature

        try:
            return by_signature(numba.njit(self.py_func, **self.targetoptions))
        except RuntimeError:  # numba's cache found no folder to write to: a container's disk may be read only
            return numba.njit(self.py_func, **(self.targetoptions | {"cache": False}))

    @property
    def native(self) -> bool:
        """Whether it was called, and each time an object file served."""
        return bool(self._entries) and all(isinstance(e, _Entry) for e in self._entries.values())

    @property
    def _numba_type_(self) -> Any:
        return self.dispatcher._numba_type_

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key = None if kwargs or len(args) != self._arguments else signature(args)
        if key is not None:
            entry = self._entries.get(key) or self._entry(key)
            if isinstance(entry, _Entry):
                done, value = entry(args)
                if done:
                    return value
        # also after an error inside, which numba tells by its name
        return self.dispatcher(*args, **kwargs)

    def _entry(self, key: tuple[Any, ...]) -> Any:
        """An `_Entry` for the signature, or the reason why there is none."""
        function = self.py_func
        source = _source_of(function)
        digest = hashlib.sha256(f"{key}{source}".encode()).hexdigest()[:16]
        name = f"{function.__module__}.{function.__qualname__}-{digest}"
        with _compiling:
            if key not in self._entries:
                self._entries[key] = _entry(function, key, name, source is not None)
            return self._entries[key]


def _entry(function: Callable[..., Any], key: tuple[Any, ...], name: str, keep: bool) -> Any:
    from corpusmill.transforms.kernels import cache as kernel_cache

    made = kernel_cache.read(name) if keep else None
    if made is None:
        try:
            from corpusmill.transforms.kernels.build import build

            made = build(function, key, name)
        except Exception as reason:  # whatever stops it, numba does it or tells why it cannot
            return reason
        if keep:
            kernel_cache.write(name, *made)
    code, result = made
    return _Entry(name, code, result) if code else result


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba's decorator, with its options."""

    def decorate(function: Callable[..., Any]) -> Any:
        if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
            return function
        return Kernel(function, options)

    return decorate
