"""Compiled kernels on disk, one object file each, which LLVM loads without numba.

`import numba` and the first of its own cached kernels cost 0.6 to 1 CPU s, more than a nightly refresh; LLVM's loader costs
0.05. The file's name holds all that machine code depends on: processor, versions, sources, settings.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import threading
from importlib.metadata import version
from typing import Any

from corpusmill.transforms import kernel_digest
from corpusmill.transforms.kernels import cache_files

_lock = threading.Lock()


@functools.cache
def _binding() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@functools.cache
def _engine() -> Any:
    binding = _binding()
    machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(jit=True)
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)


@functools.cache
def _environment() -> str:
    """Digest of what machine code depends on beside its own source."""
    binding = _binding()
    # as in numba: NUMBA_CPU_NAME stands for all processors with the same features
    processor = os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name()
    features = "" if processor == "generic" else binding.get_host_cpu_features().flatten()
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_") and k != "NUMBA_CACHE_DIR")
    parts = [version("numba"), version("llvmlite"), processor, features, *settings, kernel_digest()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def read(name: str) -> tuple[bytes, Any] | None:
    """(object file, description of the result) that `write` kept under this name, or None."""
    content = cache_files.read(f"{name}-{_environment()}.o")
    if content is None:
        return None
    result, _, code = content.partition(b"\n")
    return code, json.loads(result)


def write(name: str, code: bytes, result: Any) -> None:
    """Keep an object file for later processes."""
    cache_files.write(f"{name}-{_environment()}.o", json.dumps(result).encode() + b"\n" + code)


def load(name: str, code: bytes) -> tuple[Any, Any]:
    """The functions `name` (which releases the GIL) and `name`.release of an object file."""
    with _lock:
        engine = _engine()
        engine.add_object_file(_binding().ObjectFileRef.from_data(code))
        engine.finalize_object()
        entry, release = (engine.get_function_address(n) for n in (name, f"{name}.release"))
    slots = ctypes.POINTER(ctypes.c_int64)
    return ctypes.CFUNCTYPE(ctypes.c_int32, slots, slots)(entry), ctypes.PYFUNCTYPE(None, ctypes.c_int64)(release)
