"""What the methods of a user's own step must return, and the error that says what came instead.

The methods of every transform that is defined outside corpusmill are wrapped when its class is made. A wrong result, an error
inside the method and a wrong signature are the user's to mend: the message names file and line, what came and what is expected.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.base import Applied, Decided, Transform, Verdict
from corpusmill.transforms.document import CORE
from corpusmill.transforms.errors import CorpusmillError, RecipeError

METHODS = {
    "map": "batch, rng",
    "judge": "batch, rng",
    "expand": "batch, rng",
    "keys": "rnd, batch, rows, decisions",
    "decide": "rnd, keys",
    "apply": "batch, rows, decisions",
}
"""The methods that are checked, and their arguments."""


def check_methods(cls: type[Transform]) -> None:
    """Wrap the methods that a class defines itself, so that what they return is checked."""
    for name in METHODS:
        method = vars(cls).get(name)
        if inspect.isfunction(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, _checked(cls, name, method))


def signature_problem(cls: type[Transform]) -> str | None:
    """What is wrong with the arguments of a class's methods, if anything."""
    for name, arguments in METHODS.items():
        method = getattr(cls, name, None)
        if method is None:
            continue
        try:
            inspect.signature(method).bind(None, *arguments.split(", "))
        except TypeError:
            shown = f"{name}{inspect.signature(method)}".partition(" -> ")[0]
            return f"{_place(cls, name)} is `{shown}`; it must take `{name}(self, {arguments})`"
    return None


def _checked(cls: type[Transform], name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Transform, *args: Any, **kwargs: Any) -> Any:
        try:
            result = method(self, *args, **kwargs)
        except (CorpusmillError, OSError, MemoryError):
            raise
        except Exception as error:
            what = f"raised {type(error).__name__}: {error}"
            raise RecipeError(f"{_place(cls, name, error)} {what}; mend it, and run the same command again") from error
        batch = next((a for a in (*args, *kwargs.values()) if isinstance(a, pa.RecordBatch)), None)
        if problem := _CHECKS[name](batch, result):
            came, wanted = problem
            raise RecipeError(f"{_place(cls, name)} returned {came}; it must return {wanted}")
        return result

    return call


def _place(cls: type[Transform], name: str, error: Exception | None = None) -> str:
    """`file:line: Class.method`; the line is that of the error, where one was raised in the same file."""
    code = inspect.unwrap(getattr(cls, name)).__code__
    line = code.co_firstlineno
    for frame in traceback.extract_tb(error.__traceback__) if error else ():
        if frame.filename == code.co_filename:
            line = frame.lineno or line
    return f"{code.co_filename}:{line}: `{cls.__name__}.{name}`"


Problem = tuple[str, str] | None
"""(what came, what is expected)."""


def _documents(before: pa.RecordBatch, result: Any, wanted: str) -> Problem:
    """A record batch of documents, with the columns that every document of `before` has."""
    if not isinstance(result, pa.RecordBatch):
        return shown(result), wanted
    for name in CORE:
        if name not in before.schema.names:
            continue
        if name not in result.schema.names:
            return f"a batch without the column `{name}`", wanted
        kind = result.schema.field(name).type
        if kind not in (pa.string(), before.schema.field(name).type):
            return f"a column `{name}` of {kind}", f"it as string: `column.cast(pa.string())` (to return {wanted})"
    return None


def _same_rows(before: pa.RecordBatch | None, result: Any, wanted: str) -> Problem:
    """Documents, one for each of `before`, in its order."""
    if before is None:
        return None
    if not isinstance(result, pa.RecordBatch):
        return shown(result), wanted
    if result.num_rows != before.num_rows:
        return f"{result.num_rows} rows for {before.num_rows}", f"{wanted}; derive the class from Filter to drop rows"
    if problem := _documents(before, result, wanted):
        return problem
    for name in ("id", "source"):
        if name in before.schema.names and not result.column(name).equals(before.column(name)):
            return f"another `{name}` for some row", f"{wanted}, with `{name}` as it was"
    return None


def _map(batch: pa.RecordBatch | None, result: Any) -> Problem:
    return _same_rows(batch, result, "a RecordBatch of the same rows")


def _judge(batch: pa.RecordBatch | None, result: Any) -> Problem:
    wanted = (
        "a Verdict (corpusmill.transforms.base), as `Rules.verdict()` makes one; a function that returns true or false for "
        "each text or batch is a step, too: `- text-filter: {call: module:function}`, `- filter: {call: module:function}`"
    )
    if not isinstance(result, Verdict):
        return shown(result), wanted
    n = 0 if batch is None else batch.num_rows
    for name in ("codes", "values", *result.scores):
        values = result.scores[name] if name in result.scores else getattr(result, name)
        if not isinstance(values, np.ndarray) or values.shape != (n,):
            return (
                f"a Verdict whose `{name}` is {shown(values)}",
                f"one number for each of the {n} rows, as a numpy array",
            )
    if result.codes.dtype.kind != "i":
        return f"a Verdict whose `codes` are {result.codes.dtype}", "-1 for a kept row, else the number of its reason"
    if len(result.codes) and int(result.codes.max()) >= len(result.reasons):
        return (
            f"the code {result.codes.max()} with {len(result.reasons)} reasons",
            "codes below the number of `reasons`",
        )
    return _same_rows(batch, result.batch, "`batch` with the same rows") if result.batch is not None else None


def _expand(batch: pa.RecordBatch | None, result: Any) -> Problem:
    wanted = (
        "a RecordBatch of the originals, each at most once, and derived rows with an `id` of their own and a `parent`"
    )
    if batch is None:
        return None
    if problem := _documents(batch, result, wanted):
        return problem
    original = pc.is_in(result.column("id"), batch.column("id"))
    if (pc.sum(original).as_py() or 0) > batch.num_rows:
        return "an original more than once", wanted
    derived = result.filter(pc.invert(original))
    if derived.num_rows and ("parent" not in derived.schema.names or derived.column("parent").null_count):
        return "a derived row without `parent`", wanted
    return None


def _keys(batch: pa.RecordBatch | None, result: Any) -> Problem:
    wanted = "a RecordBatch with `key` uint64, `row` uint32 and any other columns"
    if not isinstance(result, pa.RecordBatch):
        return shown(result), wanted
    for name, kind in (("key", pa.uint64()), ("row", pa.uint32())):
        if name not in result.schema.names:
            return f"a batch without the column `{name}`", wanted
        if result.schema.field(name).type != kind:
            return f"a column `{name}` of {result.schema.field(name).type}", wanted
    return None


def _decide(batch: pa.RecordBatch | None, result: Any) -> Problem:
    wanted = "a Decided, whose `decisions` is a Table with `shard` uint32 and `row` uint32"
    if not isinstance(result, Decided) or not isinstance(result.decisions, pa.Table):
        return shown(result), wanted
    for name in ("shard", "row"):
        if name not in result.decisions.column_names:
            return f"decisions without the column `{name}`", wanted
        if result.decisions.schema.field(name).type != pa.uint32():
            return f"a column `{name}` of {result.decisions.schema.field(name).type}", wanted
    return None


def _apply(batch: pa.RecordBatch | None, result: Any) -> Problem:
    wanted = "an Applied, as `Applied.without(batch, positions, reasons, values)` makes one"
    if not isinstance(result, Applied):
        return shown(result), wanted
    n, gone = 0 if batch is None else batch.num_rows, len(result.dropped)
    if result.batch.num_rows + gone != n:
        return f"{result.batch.num_rows} rows and {gone} dropped ones for {n}", wanted
    for name in ("reasons", "values", "survivors"):
        if len(getattr(result, name)) != gone:
            return f"{len(getattr(result, name))} {name} for {gone} dropped rows", wanted
    return None


_CHECKS: dict[str, Callable[[pa.RecordBatch | None, Any], Problem]] = {
    "map": _map,
    "judge": _judge,
    "expand": _expand,
    "keys": _keys,
    "decide": _decide,
    "apply": _apply,
}


def shown(value: Any) -> str:
    """A value by its type and size."""
    kind = type(value).__name__
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}"
    if isinstance(value, list | tuple | dict | set | str | pa.Table | pa.Array):
        return f"a {kind} of length {len(value)}"
    return f"a {kind}"
