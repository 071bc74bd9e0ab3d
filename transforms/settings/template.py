"""Writes a commented settings file from a model: every field with its description and default, so that it never goes stale."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corpusmill.transforms.settings.explain import models_in

LONGEST = 12
"""Default lists with more entries, such as word lists, are not written out."""
WIDTH = 120
NEEDED = "..."
"""Stands for a value that has no default, in a section that is commented out."""
_PLAIN = re.compile(r"[A-Za-z][\w./-]*\Z", re.ASCII)
_NOT_TEXT = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")


def template(model: type[BaseModel], given: Mapping[str, Any], head: str) -> str:
    """A settings file for `model`: `head` as comments, the `given` values, and every other field commented out.

    Args:
        given: values by field; a mapping gives the fields of a section.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    return "\n".join([*lines, "", *fields(model, given, "")]) + "\n"


def fields(model: type[BaseModel], given: Mapping[str, Any], indent: str, first: str | None = None) -> list[str]:
    """Lines for the fields of a model: the given ones with their value, then the others as comments with their default.

    Args:
        first: what the first given field begins with instead of `indent`, such as "  - ".
    """
    lines: list[str] = []
    for name, info in sorted(model.model_fields.items(), key=lambda item: item[0] not in given):
        if name in given:
            lead = first if first is not None and name == next(iter(given)) else indent
            lines += comment(info.description or "", " " * (len(lead) - len(lead.lstrip())))
            if isinstance(given[name], Mapping) and (inner := models_in(info.annotation)):
                lines += [f"{lead}{name}:", *fields(inner[0], given[name], indent + "  ")]
            else:
                lines.append(f"{lead}{name}: {flow(given[name])}")
        elif not info.is_required():
            commented = _commented(name, info, WIDTH - len(indent) - 2)
            lines += [indent + (line if line.startswith("# ") else f"# {line}") for line in commented]
    return lines


def comment(text: str, indent: str) -> list[str]:
    """`text` as lines of comments."""
    width = WIDTH - len(indent) - 2
    return [f"{indent}# {line}" for line in _wrapped(text, width)]


def flow(value: Any) -> str:
    """`value` as YAML on one line: JSON, without quotes where YAML needs none."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def _commented(name: str, info: FieldInfo, width: int) -> list[str]:
    """A field that is not given: its description, and its default or the fields of its section, not yet commented out."""
    about = " ".join((info.description or "").split())
    inner = models_in(info.annotation)
    if inner:
        about = about or inspect.cleandoc(inner[0].__doc__ or "").split("\n\n")[0]
        many = any(get_origin(part) in (tuple, list) for part in (info.annotation, *get_args(info.annotation)))
        lead = "  - " if many else "  "
        lines = [line for n, field in inner[0].model_fields.items() for line in _commented(n, field, width - len(lead))]
        indented = [f"{lead if i == 0 else ' ' * len(lead)}{line}" for i, line in enumerate(lines)]
        return [*(f"# {line}" for line in _wrapped(about, width - 2)), f"{name}:", *indented]
    line = f"{name}: {_default(name, info)}"
    if not about or len(line) + len(about) + 3 <= width:
        return [f"{line}  # {about}" if about else line]
    return [*(f"# {text}" for text in _wrapped(about, width - 2)), line]


def _default(name: str, info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True)  # type: ignore[call-arg]
    if default is PydanticUndefined:
        return NEEDED
    if isinstance(default, list | tuple | set | frozenset) and len(default) > LONGEST:
        return "(a long list)"
    return flow(json.loads(json.dumps(default, default=_plain)))


def _plain(value: Any) -> Any:
    """A default that JSON does not know."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else sorted(value)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)
