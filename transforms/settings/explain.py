"""Says pydantic's validation errors in a user's words."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from corpusmill.transforms.settings.spelling import nearest
from corpusmill.transforms.settings.yaml_positions import Path, word_for

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "str": "a text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list without repeats",
    "frozen_set": "a list without repeats",
    "dict": "a mapping (`{key: value}`)",
    "mapping": "a mapping (`{key: value}`)",
    "model": "a mapping (`{field: value}`)",
    "model_attributes": "a mapping (`{field: value}`)",
    "none_required": "nothing",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


class Complaint(NamedTuple):
    """What is wrong with a value, what to do, and whether its key is to be pointed at."""

    what: str
    advice: str = ""
    of_key: bool = False


def explain(model: type[BaseModel], item: Any, at: Path, where: str) -> Complaint:
    """One of pydantic's errors in words.

    Args:
        model: the model that refused the value.
        item: an entry of `ValidationError.errors()`.
        at: the path of the value in the file.
        where: what messages call the model's value.
    """
    kind, loc = str(item["type"]), item["loc"]
    field = next((str(part) for part in reversed(at) if isinstance(part, str)), where)
    if kind in ("missing", "extra_forbidden"):
        return _of_key(model, kind, loc, where)
    if kind.startswith("model_type") or (kind == "model_attributes_type" and not loc):
        fields = _fields(model, loc)
        hint = f"as in `{{{fields[0]}: ...}}`; the fields are: {', '.join(fields)}" if fields else "it takes no fields"
        return Complaint(f"the fields of {where}: must be a mapping, not {word_for(item['input'])}", hint)
    complaint = _of_value(item, field, _about(model, loc))
    return complaint._replace(of_key=loc[-1:] == ("[key]",))


def in_words(error: ValidationError, model: type[BaseModel], where: str, value: Any) -> list[str]:
    """The mistakes of one value that no file holds, a sentence each.

    Args:
        model: the model that refused the value.
        where: what messages call the value, such as "the step `minhash`".
        value: the refused value.
    """
    grouped: dict[Path, list[Complaint]] = {}
    for item in error.errors(include_url=False):
        at = item["loc"] if item["type"] in ("missing", "extra_forbidden") else _inside(value, item["loc"])
        grouped.setdefault(at, []).append(explain(model, item, at, where))
    sentences = []
    for complaints in grouped.values():
        what = joined([c.what for c in complaints])
        advice = next((c.advice for c in complaints if c.advice), "")
        head = "" if where in what else f"{where}: "
        sentences.append(f"{head}{what}; {advice}" if advice else head + what)
    return sentences


def _inside(value: Any, loc: Path) -> Path:
    """The parts of a pydantic location that lead into `value`. It also names types of unions, which do not."""
    at: Path = ()
    for part in loc:
        try:
            value = value[part]
        except (LookupError, TypeError):
            continue
        at = (*at, part)
    return at


def joined(complaints: list[str]) -> str:
    """Several complaints about one value as one: it fits none of the types of a union."""
    if len(complaints) > 1 and all(": must be " in c for c in complaints):
        head, comma, got = complaints[0].partition(", not ")
        rest = [c.split(": must be ", 1)[1].split(", not ")[0] for c in complaints[1:]]
        return " or ".join(dict.fromkeys([head, *rest])) + comma + got
    return " or ".join(dict.fromkeys(complaints))


def _of_key(model: type[BaseModel], kind: str, loc: tuple[int | str, ...], where: str) -> Complaint:
    """A missing or unknown field."""
    owner = f"`{'.'.join(map(str, loc[:-1]))}` of {where}" if loc[:-1] else where
    if kind == "missing":
        about = _about(model, loc)
        return Complaint(f"{owner} lacks `{loc[-1]}`", f"`{loc[-1]}`: {about}" if about else "", True)
    fields = _fields(model, loc[:-1])
    known = f"the fields are: {', '.join(fields)}" if fields else "it takes no fields"
    return Complaint(f"{owner} has no field `{loc[-1]}`", nearest(str(loc[-1]), fields) or known, True)


def _of_value(item: Any, field: str, about: str) -> Complaint:
    """A value of the wrong type, out of bounds, or refused by a rule. `about` is the field's description."""
    kind, ctx, value = str(item["type"]), item.get("ctx", {}), item["input"]
    if kind in ("literal_error", "enum"):
        options = [o.strip("'") for o in str(ctx["expected"]).replace(" or ", ", ").split(", ")]
        advice = nearest(value, options) if isinstance(value, str) else ""
        return Complaint(f"`{field}`: must be {_either(options)}, not {_show(value)}", advice or _quoting(value))
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return Complaint(f"`{field}` is {_show(value)}: must be {words} {_number(ctx[name])}", about)
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        end = "min_length" if kind.endswith("short") else "max_length"
        least = "least" if kind.endswith("short") else "most"
        return Complaint(f"`{field}`: must have at {least} {_length(ctx[end], kind.startswith('string'))}", about)
    if kind == "string_pattern_mismatch":
        return Complaint(
            f"`{field}` is {_show(value)}: that is not allowed", about or f"the pattern is {ctx['pattern']}"
        )
    if kind in ("value_error", "assertion_error"):
        what, _, advice = str(ctx["error"]).partition("; ")
        return Complaint(what if not item["loc"] else f"`{field}`: {what}", advice or about)
    for ending in ("_type", "_parsing", "_from_float", "_size"):
        base = kind.removesuffix(ending)
        if base != kind and base in _WANTED:
            return Complaint(f"`{field}`: must be {_WANTED[base]}, not {_typed(value)}", _quoting(value) or about)
    return Complaint(f"`{field}`: {item['msg'][:1].lower()}{item['msg'][1:]}", about)


def _either(options: list[str]) -> str:
    return " or ".join(options) if len(options) < 3 else f"one of {', '.join(options)}"


def _length(number: int, of_text: bool) -> str:
    """`1 character`, `3 entries`."""
    unit = ("character" if of_text else "entry") if number == 1 else ("characters" if of_text else "entries")
    return f"{number:,} {unit}"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _typed(value: Any) -> str:
    """The type of a value in words, with the value itself where it is short."""
    if isinstance(value, float):
        return _show(value)
    return word_for(value) if isinstance(value, dict | list | None) else f"{word_for(value)} ({_show(value)})"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _quoting(value: Any) -> str:
    """Advice for a bare yes or no: `no` also stands for Norwegian, and a column may be called `on`."""
    read = "YAML reads a bare yes, no, on or off as true or false: quote it if it is a text"
    return read if isinstance(value, bool) else ""


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that a location inside `model` leads to, or None if it leads to something else."""
    current: type[BaseModel] | None = model
    for part in loc:
        field = current.model_fields.get(part) if current is not None and isinstance(part, str) else None
        if field is not None:
            current = next(iter(models_in(field.annotation)), None)
    return current


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a type annotation names, itself or inside a union, list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    inner = _model_at(model, loc)
    return [f.alias or n for n, f in inner.model_fields.items()] if inner is not None else []


def _about(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """The description of the field that a location leads to, or of its nearest parent."""
    for i in reversed([i for i, part in enumerate(loc) if isinstance(part, str)]):
        inner = _model_at(model, loc[:i])
        if inner is not None and loc[i] in inner.model_fields:
            return inner.model_fields[str(loc[i])].description or ""
    return ""
