"""The recipe that `corpusmill init` writes: every field with its description and default, taken from the models."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from corpusmill.pipelines.recipe.model import Head, Output
from corpusmill.pipelines.recipe.registry import usable
from corpusmill.pipelines.recipe.source_checks import guess_columns
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.settings.template import comment, fields
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.spec import SourceSpec

STEPS = ("clean", "language", "gopher-quality", "gopher-repetition", "exact", "minhash")
"""The steps that a new recipe shows."""
ACTIVE = ("clean", "gopher-quality", "exact", "minhash")
"""Those that it runs; the others are commented out."""


def starter(name: str, source: str | None = None, folder: Path = Path()) -> str:
    """A commented recipe called `name` that reads `source` (file, folder, glob or URI), or else this machine's manuals.

    The format and the columns of a source on this machine are those of its first file. `folder`: that of the recipe.
    """
    given: dict[str, Any] = {"name": Path(source).stem if source else "manuals"}
    given["name"] = "".join(c if c.isascii() and c.isalnum() else "-" for c in given["name"]).strip("-") or "docs"
    given |= _looked_at(given["name"], source, folder) if source else {"format": "machine-docs"}
    lines = [
        "# yaml-language-server: $schema=corpusmill.schema.json",
        "# For completion in an editor: corpusmill schema > corpusmill.schema.json",
        "# A corpusmill recipe. A line that starts with `# ` and a field shows that field's default.",
        "#   corpusmill check FILE     every mistake at once        corpusmill plan FILE   what would run, and why",
        "#   corpusmill run FILE       run it; again: only what is new",
        "",
        *comment(Head.model_fields["name"].description or "", ""),
        f"name: {name}",
        *comment(Head.model_fields["seed"].description or "", ""),
        "seed: 1",
        "",
        "# Where documents come from: one entry a source.",
        "sources:",
    ]
    lines += fields(SourceSpec, given, "    ", first="  - ")
    lines += [
        "",
        "# What is done to them, in this order: `- transform: {field: value}`, and `- transform` alone for its defaults.",
    ]
    lines += ["steps:"]
    known = usable()
    for step in [s for s in STEPS if s in known]:
        cls = known[step]
        lines += comment(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " "), "  ")
        off = "" if step in ACTIVE else "# "
        lines.append(f"  {off}- {step}:")
        lines += [line if not off else f"  # {line[2:]}" for line in fields(cls, {}, "      ")]
    others = [n for n in known if n not in STEPS]
    if others:
        lines += comment(f"There are also: {', '.join(others)}; and your own, as `- my_module:MyFilter`.", "  ")
    lines += ["", *comment(Head.model_fields["output"].description or "", ""), "output:"]
    lines += fields(Output, {"path": f"out/{name}"}, "  ")
    return "\n".join(lines) + "\n"


def _looked_at(name: str, source: str, folder: Path) -> dict[str, Any]:
    """Path, format and columns of a source, as far as its first rows tell."""
    from corpusmill.transforms.sources.preview import preview

    try:
        spec = SourceSpec.model_validate({"name": name, "path": source})
        seen = preview(spec, source, folder) if storage.is_local(source) and not formats.by_scheme(source) else None
    except (CorpusmillError, OSError, ValueError):  # `check` says what is wrong
        seen = None
    if seen is None:
        return {"path": source}
    columns = guess_columns(seen.columns)
    return {"path": source, "format": seen.format, **({"columns": columns} if columns else {})}
