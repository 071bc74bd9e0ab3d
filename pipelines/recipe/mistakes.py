"""Collects every mistake of a recipe and says each in a user's words: what is wrong, at which line, and what to do."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from corpusmill.pipelines.recipe.registry import nearest
from corpusmill.pipelines.recipe.yaml_positions import Marked, Path, Problem, word_for

Model = TypeVar("Model", bound=BaseModel)

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


class Mistakes:
    """The mistakes found so far in one parsed recipe."""

    def __init__(self, marked: Marked) -> None:
        self.marked = marked
        self.problems: list[Problem] = marked.problems

    def add(self, path: Path, what: str, advice: str = "", key: bool = False) -> None:
        """A mistake at the value (or, with `key`, the key) of `path`."""
        self.problems.append(Problem(self.marked.find(path, key), what, advice))

    def ordered(self) -> list[Problem]:
        """All mistakes in the order of their lines, those of the command line last."""
        own = self.marked.name
        return sorted(dict.fromkeys(self.problems), key=lambda p: (p.spot.document != own, p.spot.line, p.spot.column))

    def unknown_sections(self, raw: dict[str, Any], known: tuple[str, ...]) -> None:
        for section in raw:
            if section in known:
                continue
            advice = nearest(section, list(known)) or f"the sections are: {', '.join(known)}"
            self.add((section,), f"a recipe has no section `{section}`", advice, key=True)

    def validate(self, model: type[Model], value: Any, path: Path, where: str) -> Model | None:
        """`value` as a `model`, or None after noting why it is none. Strict: `true` is no number and "3" is no number."""
        try:
            return model.model_validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError as error:
            grouped: dict[tuple[Path, str], list[tuple[str, str, bool]]] = {}
            for item in error.errors(include_url=False):
                full = (*path, *item["loc"])
                at = self._known(full)
                kind = item["type"] if item["type"] in ("missing", "extra_forbidden") else ""
                said = self._say(model, item, at, where)
                said = (*said[:2], said[2] or item["loc"][-1:] == ("[key]",))
                grouped.setdefault((full if kind else at, kind), []).append(said)
            for (at, kind), together in grouped.items():
                if not kind and any(other[: len(at)] == at != other for other, _ in grouped):
                    continue  # a list that one type of a union refuses whole, while another names the bad entry
                if not kind and any(p.spot == self.marked.find(at) for p in self.problems):
                    continue  # such as an alias, which counts as nothing
                advice = next((advice for _, advice, _ in together if advice), "")
                self.add(at, _joined([what for what, _, _ in together]), advice, together[0][2])
            return None

    def section(self, model: type[Model], raw: dict[str, Any], name: str) -> Model | None:
        """The recipe's section `name` as a `model`; None where there is none, or after noting why it is none."""
        value = {} if raw.get(name) is None else raw[name]
        return self.validate(model, value, (name,), f"`{name}`") if name in raw else None

    def _known(self, path: Path) -> Path:
        """The place in the file that one of pydantic's locations leads to; it also names types of unions."""
        at: Path = ()
        for part in path:
            if (*at, part) in self.marked.values:
                at = (*at, part)
        return at

    def _say(self, model: type[BaseModel], item: Any, at: Path, where: str) -> tuple[str, str, bool]:
        """(what is wrong, advice, whether the key is meant) of one of pydantic's errors."""
        kind, ctx, loc = str(item["type"]), item.get("ctx", {}), item["loc"]
        got = item["input"]
        field = next((str(part) for part in reversed(at) if isinstance(part, str)), where)
        about = _about(model, loc)
        if kind == "missing":
            inner = f"`{'.'.join(map(str, loc[:-1]))}` of {where}" if loc[:-1] else where
            return f"{inner} lacks `{loc[-1]}`", f"`{loc[-1]}`: {about}" if about else "", True
        if kind == "extra_forbidden":
            fields = _fields(model, loc[:-1])
            inner = f"`{'.'.join(map(str, loc[:-1]))}` of {where}" if loc[:-1] else where
            advice = nearest(str(loc[-1]), fields) or (
                f"the fields are: {', '.join(fields)}" if fields else "it takes no fields"
            )
            return f"{inner} has no field `{loc[-1]}`", advice, True
        if kind.startswith("model_type") or (kind == "model_attributes_type" and not loc):
            fields = _fields(model, loc)
            hint = (
                f"as in `{{{fields[0]}: ...}}`; the fields are: {', '.join(fields)}" if fields else "it takes no fields"
            )
            return f"the fields of {where}: must be a mapping, not {word_for(got)}", hint, False
        if kind in ("literal_error", "enum"):
            options = [o.strip("'") for o in str(ctx["expected"]).replace(" or ", ", ").split(", ")]
            advice = nearest(got, options) if isinstance(got, str) else ""
            return f"`{field}`: must be {_either(options)}, not {_show(got)}", advice or _truth(got), False
        if kind in _BOUNDS:
            name, words = _BOUNDS[kind]
            return f"`{field}` is {_show(got)}: must be {words} {_number(ctx[name])}", about, False
        if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
            short, unit = kind.endswith("short"), "character" if kind.startswith("string") else "entr"
            n = ctx["min_length" if short else "max_length"]
            unit += {True: "y" if n == 1 else "ies", False: "" if n == 1 else "s"}[unit == "entr"]
            return f"`{field}`: must have at {'least' if short else 'most'} {n:,} {unit}", about, False
        if kind == "string_pattern_mismatch":
            return f"`{field}` is {_show(got)}: that is not allowed", about or f"the pattern is {ctx['pattern']}", False
        if kind in ("value_error", "assertion_error"):
            what, _, advice = str(ctx["error"]).partition("; ")
            return (what if len(loc) == 0 else f"`{field}`: {what}"), advice or about, False
        for ending in ("_type", "_parsing", "_from_float", "_size"):
            base = kind.removesuffix(ending)
            if base != kind and base in _WANTED:
                plain = not isinstance(got, dict | list | float | None)
                shown = f"{word_for(got)} ({_show(got)})" if plain else word_for(got)
                if isinstance(got, float):
                    shown = _show(got)
                return f"`{field}`: must be {_WANTED[base]}, not {shown}", _truth(got) or about, False
        return f"`{field}`: {item['msg'][:1].lower()}{item['msg'][1:]}", about, False


def render(problems: list[Problem]) -> str:
    """All mistakes with their lines, and how many there are."""
    total = f"{len(problems)} mistake{'' if len(problems) == 1 else 's'} in the recipe"
    return "\n".join([*(p.render() for p in problems), total])


def _either(options: list[str]) -> str:
    return " or ".join(options) if len(options) < 3 else f"one of {', '.join(options)}"


def _joined(said: list[str]) -> str:
    """Several complaints about one value, which fits none of the types of a union, as one."""
    if len(said) > 1 and all(": must be " in s for s in said):
        head, comma, got = said[0].partition(", not ")
        rest = [s.split(": must be ", 1)[1].split(", not ")[0] for s in said[1:]]
        return " or ".join(dict.fromkeys([head, *rest])) + comma + got
    return " or ".join(dict.fromkeys(said))


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _truth(value: Any) -> str:
    """Norwegian is `no`, and a column may be called `on`."""
    return (
        "YAML reads a bare yes, no, on or off as true or false: quote it if it is a text"
        if isinstance(value, bool)
        else ""
    )


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that a location inside `model` leads to, if its fields are models."""
    current: type[BaseModel] | None = model
    for part in loc:
        field = current.model_fields.get(part) if current is not None and isinstance(part, str) else None
        if field is not None:
            kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
            current = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return current


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    inner = _model_at(model, loc)
    return [f.alias or n for n, f in inner.model_fields.items()] if inner is not None else []


def _about(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """The description of the field that a location leads to."""
    names = [i for i, part in enumerate(loc) if isinstance(part, str)]
    for i in reversed(names):
        inner = _model_at(model, loc[:i])
        if inner is not None and loc[i] in inner.model_fields:
            return inner.model_fields[str(loc[i])].description or ""
    return ""
