"""The recipe that `corpusmill init` writes: every field with its description and default, taken from the models, so that
it cannot go stale."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from corpusmill.pipelines.recipe.model import Head, Output
from corpusmill.pipelines.recipe.registry import usable
from corpusmill.transforms.sources.spec import SourceSpec

STEPS = ("clean", "language", "gopher-quality", "gopher-repetition", "exact", "minhash")
ACTIVE = ("clean", "gopher-quality", "exact", "minhash")  # the others are there, commented out
LONGEST = 12  # lists of defaults longer than this (word lists) are not written out
WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z][\w./-]*\Z", re.ASCII)


def starter(name: str, source: str | None = None) -> str:
    """A commented recipe called `name` that reads `source` (file, folder, glob or URI), or else this machine's manuals."""
    given: dict[str, Any] = {"name": Path(source).stem if source else "manuals"}
    given["name"] = "".join(c if c.isascii() and c.isalnum() else "-" for c in given["name"]).strip("-") or "docs"
    given |= {"path": source} if source else {"format": "machine-docs"}
    lines = [
        "# A corpusmill recipe. A line that starts with `# ` and a field shows that field's default.",
        "#   corpusmill check FILE     every mistake at once        corpusmill plan FILE   what would run, and why",
        "#   corpusmill run FILE       run it; again: only what is new",
        "",
        *_comment(Head.model_fields["name"].description or "", ""),
        f"name: {name}",
        *_comment(Head.model_fields["seed"].description or "", ""),
        "seed: 1",
        "",
        "# Where documents come from: one entry a source.",
        "sources:",
    ]
    lines += _fields(SourceSpec, given, "    ", first="  - ")
    lines += [
        "",
        "# What is done to them, in this order: `- transform: {field: value}`, and `- transform` alone for its defaults.",
    ]
    lines += ["steps:"]
    known = usable()
    for step in [s for s in STEPS if s in known]:
        cls = known[step]
        lines += _comment(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " "), "  ")
        off = "" if step in ACTIVE else "# "
        lines.append(f"  {off}- {step}:")
        lines += [line if not off else f"  # {line[2:]}" for line in _fields(cls, {}, "      ")]
    others = [n for n in known if n not in STEPS]
    if others:
        lines += _comment(f"There are also: {', '.join(others)}; and your own, as `- my_module:MyFilter`.", "  ")
    lines += ["", *_comment(Head.model_fields["output"].description or "", ""), "output:"]
    lines += _fields(Output, {"path": f"out/{name}"}, "  ")
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel], given: dict[str, Any], indent: str, first: str | None = None) -> list[str]:
    """The model's fields: those in `given` with their value, the others as comments with their default."""
    lines: list[str] = []
    for key, info in sorted(model.model_fields.items(), key=lambda item: item[0] not in given):
        lead = first if first is not None and key == next(iter(given)) else indent
        if key in given:
            lines += [
                *_comment(info.description or "", " " * (len(lead) - len(lead.lstrip()))),
                f"{lead}{key}: {_flow(given[key])}",
            ]
            continue
        default = info.default_factory() if info.default_factory else info.default  # type: ignore[call-arg]
        if default is PydanticUndefined:
            continue
        text = _flow(model.model_construct(**{key: default}).model_dump(mode="json", include={key})[key])
        text = (
            "(a long list)" if isinstance(default, list | tuple | set | frozenset) and len(default) > LONGEST else text
        )
        about = " ".join((info.description or "").split())
        line = f"{indent}# {key}: {text}"
        if about and len(line) + len(about) + 4 <= WIDTH:
            lines.append(f"{line}  # {about}")
        else:
            lines += [*_comment(about, indent), line]
    return lines


def _comment(text: str, indent: str) -> list[str]:
    wrapped = textwrap.wrap(
        " ".join(text.split()), WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False
    )
    return [f"{indent}# {line}" for line in wrapped]


def _flow(value: Any) -> str:
    """`value` as YAML on one line: JSON, without quotes where YAML needs none."""
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    words = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in words:
        return value
    return json.dumps(value, ensure_ascii=False)
