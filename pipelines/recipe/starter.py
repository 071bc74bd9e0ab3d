"""The recipe that `corpusmill init` writes: every field with its description and default, taken from the models."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from corpusmill.pipelines.recipe.model import Head, Output
from corpusmill.pipelines.recipe.registry import usable
from corpusmill.pipelines.recipe.starter_source import sources_of
from corpusmill.transforms.settings.template import comment, fields, flow
from corpusmill.transforms.sources.spec import SourceSpec

STEPS = ("clean", "language", "gopher-quality", "gopher-repetition", "exact", "minhash")
"""The steps that a new recipe shows."""
ACTIVE = ("clean", "gopher-quality", "exact", "minhash")
"""Those that it runs; the others are commented out."""


def starter(name: str, source: str | None = None, folder: Path = Path()) -> str:
    """A commented recipe called `name` that reads `source` (file, folder, glob or URI), or else this machine's manuals.

    `starter_source` says what is written of a source. HTML is extracted. `folder`: that of the recipe.
    """
    manuals: list[dict[str, Any]] = [{"name": "manuals", "format": "machine-docs"}]
    given, pages = sources_of(source, folder) if source else (manuals, False)
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
    lines += fields(SourceSpec, given[0], "    ", first="  - ")
    for each in given[1:]:
        lines += [f"{'  - ' if name == 'name' else '    '}{name}: {flow(value)}" for name, value in each.items()]
    lines += [
        "",
        "# What is done to them, in this order: `- transform: {field: value}`, and `- transform` alone for its defaults.",
    ]
    lines += ["steps:"]
    known = usable()
    for step in [s for s in (("extract",) if pages else ()) + STEPS if s in known]:
        cls = known[step]
        lines += comment(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " "), "  ")
        off = "" if step in ACTIVE or step == "extract" else "# "
        lines.append(f"  {off}- {step}:")
        lines += [line if not off else f"  # {line[2:]}" for line in fields(cls, {}, "      ")]
    others = [n for n in known if n not in STEPS]
    if others:
        lines += comment(f"There are also: {', '.join(others)}; and your own, as `- my_module:MyFilter`.", "  ")
    lines += ["", *comment(Head.model_fields["output"].description or "", ""), "output:"]
    lines += fields(Output, {"path": f"out/{name}"}, "  ")
    return "\n".join(lines) + "\n"
