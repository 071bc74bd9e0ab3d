"""The output of `corpusmill steps`."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

from corpusmill.pipelines.report.terminal import Cell, Column, styled, table


def render_list(steps: list[dict[str, Any]]) -> str:
    """One line for each step: name, kind and the first words of its purpose."""
    width = max(30, min(shutil.get_terminal_size((120, 24)).columns, 160) - 34)
    rows = [
        [s["name"], Cell(s["kind"], "dim"), textwrap.shorten(s["purpose"], width, placeholder=" ...")] for s in steps
    ]
    return table(["step", "kind", "purpose"], rows) + "\n\nMore about one: corpusmill steps NAME"


def render(about: dict[str, Any]) -> str:
    """What a step does, its fields with defaults, and how a recipe names it."""
    head = f"{about['name']} ({about['kind']}, version {about['version']})"
    rows = [[f["name"], "required" if f["required"] else _value(f["default"]), f["about"]] for f in about["fields"]]
    columns: list[Column | str] = ["field", "default", "meaning"]
    fields = table(columns, rows) if rows else "It has no fields."
    required = ", ".join(f"{f['name']}: ..." for f in about["fields"] if f["required"])
    fields_of_it = about["example"] or (f"{{{required}}}" if required else "")
    example = f"  - {about['name']}" + (f": {fields_of_it}" if fields_of_it else "")
    return "\n".join(
        [styled(head, "head"), "", about["doc"], "", fields, "", "In a recipe, under `steps:`", "", example]
    )


def _value(value: Any) -> str:
    text = "" if value is None else str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 40 else text[:37] + "..."
