"""numba's `njit`, which does not import numba where machine code is cached already.

    from corpusmill.transforms.kernels.njit import njit

    @njit(inline="always")              # a helper of other kernels
    @njit(nogil=True, cache=True)       # a kernel, called from Python

numba compiles a kernel when it is first called with arguments of some types. The machine code is kept as an object file
(`corpusmill.transforms.kernels.cache`); this process and later ones call it, and later ones never import numba. Kernels and
helpers may call each other, and numba's own functions may call them. numba itself handles what an object file cannot do:
arguments that are neither arrays nor numbers, and errors inside a kernel.
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

from corpusmill.transforms.startup import plain

_compiling = threading.RLock()


class Intrinsic:
    """A function that writes its own machine code. It is registered with numba when something first asks for its type."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)  # type: ignore[arg-type]  # this object is not a function
        self._function = function

    @functools.cached_property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target
        from numba.extending import intrinsic

        registered = intrinsic(self._function)
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
        return cpu_target.typing_context.resolve_value_type(registered)


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba's `intrinsic`. The function imports numba and llvmlite itself, when it is called."""
    return Intrinsic(function)


_SCALARS = {int: "i", np.int64: "i", np.uint64: "u", float: "f", np.float64: "f", bool: "b", np.bool_: "b"}


def signature(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The key by which machine code for `args` is chosen.

    Returns:
        For each array (dtype such as "<i4", dimensions, layout, writeable), for each number a letter of `_SCALARS`. None if
        some argument is of another kind.
    """
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
    """Keeps a kernel's buffer alive while NumPy arrays view it."""

    def __init__(self, release: Any, owner: int, args: Any, interface: dict[str, Any]) -> None:
        # without an owner, the buffer belongs to an argument
        self._release, self._owner, self._args = release, owner, None if owner else args
        self.__array_interface__ = interface

    def __del__(self) -> None:
        if self._owner:
            self._release(self._owner)


RESULTS = 64
"""Slots for the result of a kernel."""
_Results = ctypes.c_int64 * RESULTS


class _Entry:
    """Machine code for arguments of one signature."""

    def __init__(self, name: str, code: bytes, result: Any) -> None:
        from corpusmill.transforms.kernels.cache import load

        self._call, self._release = load(name, code)
        self._result = result

    def __call__(self, args: tuple[Any, ...]) -> tuple[bool, Any]:
        """(whether the kernel returned without an error, its result)."""
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

    def _value(self, description: Any, out: Any, args: Any) -> Any:
        """The result as a Python value, read from the slots `out` by its description."""
        if description is None:
            return None
        if isinstance(description, list):
            return tuple([self._value(t, out, args) for t in description])
        if description == "i":
            return next(out)
        if description == "u":
            return next(out) & 0xFFFFFFFFFFFFFFFF
        if description == "f":
            return struct.unpack("d", struct.pack("q", next(out)))[0]
        if description == "b":
            return bool(next(out))
        dtype, _, ndim = description.partition("*")
        n = int(ndim)
        owner, data = next(out), next(out)
        shape = tuple([next(out) for _ in range(n)])
        strides = tuple([next(out) for _ in range(n)])
        interface = {"data": (data, False), "shape": shape, "strides": strides, "typestr": dtype, "version": 3}
        return np.asarray(_Memory(self._release, owner, args, interface))


_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def _source_of(function: Callable[..., Any]) -> str | None:
    """What machine code depends on beside `kernel_digest`: the digest of the function's file, "" inside this package.

    None where the source does not determine the function: in a notebook, or where it captures variables of another function.
    """
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
    """A function of arrays and numbers as machine code. numba takes it for one of its own functions."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        # numba reads these where it inlines the function
        self.py_func, self.targetoptions = function, options
        self._entries: dict[Any, Any] = {}
        self._arguments = function.__code__.co_argcount

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function as numba compiles it."""
        import numba

        from corpusmill.transforms.kernels.numba_index import by_signature

        try:
            return by_signature(numba.njit(self.py_func, **self.targetoptions))
        except RuntimeError:  # numba's cache found no folder to write to: a container's disk may be read only
            return numba.njit(self.py_func, **(self.targetoptions | {"cache": False}))

    @property
    def native(self) -> bool:
        """Whether it was called, and an object file served every call."""
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
        # also after an error inside the kernel, so that numba raises it
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

    built = kernel_cache.read(name) if keep else None
    if built is None:
        try:
            from corpusmill.transforms.kernels.build import build

            built = build(function, key, name)
        except Exception as reason:  # numba takes over, or raises an error that says why it cannot
            return reason
        if keep:
            kernel_cache.write(name, *built)
    code, result = built
    return _Entry(name, code, result) if code else result


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba's decorator, with its options."""

    def decorate(function: Callable[..., Any]) -> Any:
        if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
            return function
        if plain("kernels"):
            import numba

            return numba.njit(**options)(function)
        return Kernel(function, options)

    return decorate
