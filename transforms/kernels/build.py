"""Turns a Python function into an object file that runs without numba: numba compiles it, and the parts of numba's runtime
that it needs are linked in.

The object has one function, `int32 entry(int64 *arguments, int64 *results)`. A number is one slot; an array is its address,
shape and strides (bytes); a returned array has its owner's address in front. The owner is a reference-counted block of memory,
as in numba; `release`, the object's other function, drops one reference.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, compiler, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import as_dtype, from_dtype

from corpusmill.transforms.kernels.njit import RESULTS

_I64, _I32, _POINTER = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
_HEADER = 64
_SCALARS = {"i": types.int64, "u": types.uint64, "f": types.float64, "b": types.boolean}

# numba's functions that build the Python value of an error; after an error nothing is read from the object file
_ERROR_VALUES = re.compile(r"^(define [^\n]*__excinfo_unwrap_args[^\n]*\{\n).*?^\}", re.MULTILINE | re.DOTALL)


class UnfitError(Exception):
    """The function needs something that only numba's own loader offers."""


class _Compiler(_FunctionCompiler):  # type: ignore[misc]  # numba has no types
    """Compiles without wrappers for Python callers."""

    def _customize_flags(self, flags: Any) -> Any:
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        flags.enable_pyobject = False
        return flags


def type_of(key: Any) -> Any:
    """numba's type for one element of a `kernels.signature`."""
    if isinstance(key, str):
        return _SCALARS[key]
    dtype, ndim, layout, writeable = key
    return types.Array(from_dtype(np.dtype(dtype)), ndim, layout, readonly=not writeable)


def _take(context: Any, builder: Any, slots: Any, at: int, ty: Any) -> tuple[Any, int]:
    """(the value of type `ty` in the slots from `at` on, the next slot)."""

    def slot(i: int) -> Any:
        return builder.load(builder.gep(slots, [_I64(i)]))

    if isinstance(ty, types.Array):
        n = ty.ndim
        array = context.make_array(ty)(context, builder)
        data = builder.inttoptr(slot(at), array.data.type)
        shape, strides = [[slot(at + 1 + k * n + d) for d in range(n)] for k in range(2)]
        itemsize = context.get_abi_sizeof(context.get_data_type(ty.dtype))
        populate_array(array, data, shape, strides, itemsize, None)
        return array._getvalue(), at + 1 + 2 * n
    value = slot(at)
    if ty is types.float64:
        value = builder.bitcast(value, ir.DoubleType())
    elif ty is types.boolean:
        value = builder.icmp_unsigned("!=", value, _I64(0))
    return value, at + 1


def _give(context: Any, builder: Any, slots: Any, at: int, ty: Any, value: Any) -> tuple[Any, int]:
    """Put a value of type `ty` in the slots from `at` on; returns (its description, the next slot)."""

    def put(i: int, x: Any) -> None:
        builder.store(x, builder.gep(slots, [_I64(i)]))

    if isinstance(ty, types.NoneType):
        return None, at
    if isinstance(ty, types.BaseTuple):
        parts = []
        for i, part in enumerate(ty):
            description, at = _give(context, builder, slots, at, part, builder.extract_value(value, i))
            parts.append(description)
        return parts, at
    if isinstance(ty, types.Array):
        array = context.make_array(ty)(context, builder, value=value)
        put(at, builder.ptrtoint(array.meminfo, _I64))
        put(at + 1, builder.ptrtoint(array.data, _I64))
        for k, each in enumerate((array.shape, array.strides)):
            for d in range(ty.ndim):
                put(at + 2 + k * ty.ndim + d, builder.extract_value(each, d))
        return f"{as_dtype(ty.dtype).str}*{ty.ndim}", at + 2 + 2 * ty.ndim
    if isinstance(ty, types.Boolean):
        put(at, builder.zext(value, _I64))
        return "b", at + 1
    if isinstance(ty, types.Integer):
        put(at, (builder.sext if ty.signed else builder.zext)(value, _I64) if ty.bitwidth < 64 else value)
        return "i" if ty.signed else "u", at + 1
    if ty is types.float64:
        put(at, builder.bitcast(value, _I64))
        return "f", at + 1
    raise UnfitError(f"it returns {ty}")


def _runtime(triple: str, layout: str, release: str, wanted: set[str]) -> Any:
    """The functions `wanted` of numba's runtime, and `release`, as LLVM IR: reference-counted memory."""
    module = ir.Module("runtime")
    module.triple, module.data_layout = triple, layout
    # reference count, two fields of numba that are not used here, address and size of the data; then the data
    owner = ir.LiteralStructType([_I64, _POINTER, _POINTER, _POINTER, _I64]).as_pointer()
    none, void = ir.Constant(_POINTER, None), ir.VoidType()

    def declare(name: str, result: Any, *arguments: Any) -> Any:
        return ir.Function(module, ir.FunctionType(result, arguments), name)

    def begin(name: str, result: Any, *arguments: Any) -> tuple[Any, Any]:
        defined = declare(name, result, *arguments)
        return ir.IRBuilder(defined.append_basic_block()), defined.args

    malloc, free = declare("malloc", _POINTER, _I64), declare("free", void, _POINTER)
    for name, more in ("NRT_MemInfo_alloc", ()), ("NRT_MemInfo_alloc_aligned", (_I32,)):
        if name not in wanted:
            continue
        b, (size, *aligns) = begin(name, _POINTER, _I64, *more)
        align = b.zext(aligns[0], _I64) if aligns else _I64(16)
        block = b.call(malloc, [b.add(b.add(size, align), _I64(_HEADER))])
        with b.if_then(b.icmp_unsigned("==", block, none)):
            b.ret(none)
        data = b.sub(b.add(b.add(b.ptrtoint(block, _I64), _I64(_HEADER)), align), _I64(1))
        data = b.sub(data, b.urem(data, align))
        head = b.bitcast(block, owner)
        for i, value in enumerate((_I64(1), none, none, b.inttoptr(data, _POINTER), size)):
            b.store(value, b.gep(head, [_I32(0), _I32(i)]))
        b.ret(block)
    if "NRT_Allocate" in wanted:
        b, (size,) = begin("NRT_Allocate", _POINTER, _I64)
        b.ret(b.call(malloc, [size]))
    for name in sorted(wanted & {"NRT_Free", "NRT_MemInfo_call_dtor"}):
        b, (at,) = begin(name, void, _POINTER)
        b.call(free, [at])
        b.ret_void()
    if "NRT_MemInfo_data_fast" in wanted:
        b, (at,) = begin("NRT_MemInfo_data_fast", _POINTER, _POINTER)
        b.ret(b.load(b.gep(b.bitcast(at, owner), [_I32(0), _I32(3)])))
    if "NRT_incref" in wanted:
        b, (at,) = begin("NRT_incref", void, _POINTER)
        with b.if_then(b.icmp_unsigned("!=", at, none)):
            b.atomic_rmw("add", b.bitcast(at, _I64.as_pointer()), _I64(1), "monotonic")
        b.ret_void()
    for name in sorted(wanted & {"NRT_decref"} | {release}):
        b, (at,) = begin(name, void, _POINTER)
        with b.if_then(b.icmp_unsigned("!=", at, none)):
            before = b.atomic_rmw("sub", b.bitcast(at, _I64.as_pointer()), _I64(1), "acq_rel")
            with b.if_then(b.icmp_unsigned("==", before, _I64(1))):
                b.call(free, [at])
        b.ret_void()
    return module


def _check(module: Any) -> None:
    """Raise UnfitError if the module needs a symbol that a process without numba does not have."""
    process, text = ctypes.CDLL(None), str(module)
    for value in (*module.functions, *module.global_variables):
        name = value.name
        if not value.is_declaration or name.startswith("llvm."):
            continue
        if len(re.findall(rf'@"?{re.escape(name)}(?![\w.$])', text)) < 2:
            continue  # only declared
        if name.startswith(("NRT_", "numba", "Py", "_Py", "_ZN")) or not hasattr(process, name):
            raise UnfitError(f"it needs {name}")


def build(function: Callable[..., Any], key: tuple[Any, ...], name: str) -> tuple[bytes, Any]:
    """Compile `function` for arguments of the signature `key`.

    Returns:
        (object file with the functions `name` and `name`.release, description of the result); (b"", reason) if the function
        needs numba.
    """
    # the target context locks itself and then the compiler; in the other order, two threads could deadlock
    _ = registry.cpu_target.target_context
    try:
        with global_compiler_lock:
            return _build(function, key, name)
    except UnfitError as reason:
        return b"", str(reason)


def _build(function: Callable[..., Any], key: tuple[Any, ...], name: str) -> tuple[bytes, Any]:
    arguments = [type_of(k) for k in key]
    target = registry.cpu_target
    compiled = _Compiler(function, target, {"nopython": True, "nogil": True}, {}, compiler.Compiler).compile(
        arguments, None
    )
    context, library, described = compiled.target_context, compiled.library, compiled.fndesc
    module = library.create_ir_module(name)
    slots = _I64.as_pointer()
    entry = ir.Function(module, ir.FunctionType(_I32, [slots, slots]), name)
    builder = ir.IRBuilder(entry.append_basic_block())
    native = context.call_conv.get_function_type(described.restype, described.argtypes)
    callee = ir.Function(module, native, described.llvm_func_name)
    values, at = [], 0
    for ty in described.argtypes:
        value, at = _take(context, builder, entry.args[0], at, ty)
        values.append(value)
    status, result = context.call_conv.call_function(builder, callee, described.restype, described.argtypes, values)
    with cgutils.if_unlikely(builder, status.is_error):
        builder.ret(_I32(1))
    description, used = _give(context, builder, entry.args[1], 0, described.restype, result)
    if used > RESULTS:
        raise UnfitError(f"it returns {described.restype}")
    builder.ret(_I32(0))
    library.add_ir_module(module)
    library.finalize()
    linked = binding.parse_assembly(_ERROR_VALUES.sub(r"\1  unreachable\n}", library.get_llvm_str()))
    wanted = {each.name for each in linked.functions if each.is_declaration}
    runtime = _runtime(linked.triple, linked.data_layout, f"{name}.release", wanted)
    linked.link_in(binding.parse_assembly(str(runtime)))
    for each in linked.functions:
        if not each.is_declaration and each.name not in (name, f"{name}.release"):
            each.linkage = "internal"
    _check(linked)
    return library.codegen._tm.emit_object(linked), description
