"""Writes a page for each step from its model, and their index: a hook of mkdocs, run by every build of the documentation."""

from __future__ import annotations

import html
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from corpusmill.pipelines.recipe.registry import load, names
from corpusmill.transforms.base import Transform

GROUPS = {
    "web": "Web pages",
    "clean": "Cleaning",
    "filters": "Filters",
    "dedup": "Deduplication",
    "embed": "Meaning and coverage",
    "decontaminate": "Safety",
    "redact": "Safety",
    "rights": "Safety",
    "noise": "Augmentation",
    "mix": "Mixture and tokens",
    "tokens": "Mixture and tokens",
    "generate": "A model in the loop",
    "select": "Selection",
    "units": "Privacy",
}
"""Folder of `transforms/` -> heading of the index."""
KINDS = {
    "Map": "changes documents one by one",
    "Filter": "keeps or drops documents one by one",
    "Expand": "adds documents that name their parent",
    "Group": "compares documents of all shards",
    "Terminal": "makes rows of another shape; only as the last step",
}
REACH = {
    "record": "one document at a time",
    "unit": "the documents of one privacy unit",
    "public": "public data only",
    "cross": "documents of other units: private training refuses it, unless it runs on public data",
    "private": "documents of other units, through a mechanism that spends privacy budget",
}
BENCHMARKS = Path(__file__).parents[1] / "benchmarks" / "index.md"
MEASURED = {"Steps: `corpusmill run`": "a whole run", "Steps: what": "more text", "Kernels alone": "the kernel alone"}
"""Beginning of a heading there -> what its figures are of."""
ALIASES = {"minhash": ("minhash", "MinHash, verified", "MinHash")}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the steps into the navigation."""
    by_group: dict[str, list[Any]] = {}
    for name, module in names().items():
        by_group.setdefault(group_of(module), []).append({name: f"steps/{name}.md"})
    pages = ["steps/index.md", *({heading: by_group[heading]} for heading in dict.fromkeys(GROUPS.values()))]
    config.nav = [{"Steps": pages} if isinstance(entry, dict) and "Steps" in entry else entry for entry in config.nav]
    if (Path(config.docs_dir) / "startup.md").exists():
        config.nav.insert(-1, {"Start-up": "startup.md"})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for name, text in pages().items():
        files.append(File.generated(config, f"steps/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """Name of a page below `steps/` -> its Markdown."""
    steps = {name: load(name) for name in names()}
    costs = speeds(BENCHMARKS.read_text(encoding="utf-8"))
    return {"index": index(steps), **{name: page(step, costs) for name, step in steps.items()}}


def group_of(module: str) -> str:
    """The heading under which the steps of a module are listed."""
    folder = module.split(".")[2]
    return GROUPS.get(folder, "Filters")


def index(steps: dict[str, type[Transform]]) -> str:
    """The list of all steps by heading."""
    lines = ["# Steps", "", "A recipe lists steps in the order in which documents go through them.", ""]
    for heading in dict.fromkeys(GROUPS.values()):
        lines += [f"## {heading}", "", "| step | what it does |", "|---|---|"]
        listed = {n: s for n, s in steps.items() if group_of(s.__module__) == heading}
        lines += [f"| [`{name}`]({name}.md) | {cell(summary(step))} |" for name, step in listed.items()]
        lines.append("")
    return "\n".join(lines)


def summary(step: type[Transform]) -> str:
    """First sentence of a step's docstring."""
    first = inspect.cleandoc(step.__doc__ or "").split("\n\n")[0]
    return re.split(r"(?<=\.)\s", " ".join(first.split()))[0].rstrip(":") or step.__name__


def page(step: type[Transform], costs: dict[str, list[tuple[str, str]]]) -> str:
    """The page of one step."""
    kind = next(base.__name__ for base in step.__mro__ if base.__name__ in KINDS)
    lines = [f"# `{step.name}`", "", *body(step.__doc__ or ""), ""]
    required = [f"{name}: ..." for name, field in step.model_fields.items() if field.is_required()]
    values = step.example or (f"{{{', '.join(required)}}}" if required else "")
    written = f"- {step.name}: {values}" if values else f"- {step.name}"
    lines += ["## In a recipe", "", "```yaml", "steps:", f"  {written}", "```", ""]
    lines += ["## Fields", "", *fields(step), ""]
    lines += ["## Facts", ""]
    lines.append(f"- **Kind**: {kind}. It {KINDS[kind]}.")
    lines.append(f"- **Version**: {step.version}. A recipe pins it as `{step.name}@{step.version}`.")
    lines.append(f"- **It looks at** {REACH[step.stability]}.")
    lines.append(f"- **In Python**: `from corpusmill.steps import {step.__name__}`")
    for what, speed in costs.get(step.name, []):
        lines.append(f"- **Cost, {what}**: {speed} MB of text per CPU second ([measured](../benchmarks/index.md)).")
    return "\n".join(lines) + "\n"


def body(doc: str) -> list[str]:
    """A docstring as Markdown: examples and indented blocks become code, `Raises:` and the like headings in bold."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        if block.lstrip().startswith(">>>"):
            out += ["```pycon", textwrap.dedent(block), "```", ""]
        elif block.startswith("    "):
            out += ["```text", textwrap.dedent(block), "```", ""]
        else:
            text: list[str] = []
            for line in block.split("\n"):
                head = re.match(r"(Source|Formula|Raises|Args|Returns|Shapes|Score)s?:(.*)", line)
                if head:
                    text += ["", f"**{head[1]}**:{head[2]}"]
                elif line.startswith("    ") and text:
                    text += ["", f"- {line.strip()}"] if re.match(r"\s{4}\S", line) else [line.strip()]
                else:
                    text.append(line)
            out += [escaped(line) for line in text] + [""]
    return out


def escaped(line: str) -> str:
    """A line with what Markdown or HTML would take as markup outside of code spans made plain."""
    parts = re.split(r"(`[^`]*`)", line)
    plain = [p if p.startswith("`") else re.sub(r"([*_\[])", r"\\\1", html.escape(p, False)) for p in parts]
    text = "".join(plain)
    return re.sub(r"^\\\*\\\*(\w+)\\\*\\\*:", r"**\1**:", text)


def fields(step: type[Transform]) -> list[str]:
    """The table of a step's fields."""
    if not step.model_fields:
        return ["It takes no fields."]
    lines = ["| field | type | default | |", "|---|---|---|---|"]
    schema = step.model_json_schema()
    for name, field in step.model_fields.items():
        shape = schema["properties"][field.alias or name]
        default = "required" if field.is_required() else code(field.get_default(call_default_factory=True))
        lines.append(f"| `{name}` | {cell(kind_of_value(shape, schema))} | {default} | {cell(field.description or '')} |")
    return lines


def kind_of_value(shape: dict[str, Any], schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in shape:
        return kind_of_value(schema["$defs"][shape["$ref"].rsplit("/", 1)[1]], schema)
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(kind_of_value(s, schema) for s in shape["anyOf"] if s.get("type") != "null"))
    if "enum" in shape:
        return ", ".join(code(value) for value in shape["enum"])
    if "const" in shape:
        return code(shape["const"])
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    kind = shape.get("type", "anything")
    if kind == "array":
        return f"list of {kind_of_value(shape.get('items', {}), schema)}"
    if kind == "object":
        inner = shape.get("additionalProperties")
        return f"mapping to {kind_of_value(inner, schema)}" if isinstance(inner, dict) else "mapping"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    if "minimum" in shape and "maximum" in shape:
        return f"{words.get(kind, kind)} from {shape['minimum']:g} to {shape['maximum']:g}"
    limits = [f"{sign} {shape[key]:g}" for key, sign in bounds.items() if key in shape]
    return " ".join([words.get(kind, kind), *limits])


def code(value: Any) -> str:
    """A value as a recipe writes it."""
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(escaped(text).split()).replace("|", "\\|")


def speeds(text: str) -> dict[str, list[tuple[str, str]]]:
    """Step -> [(what was measured, MB per CPU second)], from the tables of the benchmarks."""
    found: dict[str, list[tuple[str, str]]] = {}
    known = {alias: name for name in names() for alias in ALIASES.get(name, (name,))}
    heading, column = "", -1
    for line in text.splitlines():
        if line.startswith("## "):
            heading, column = next((words for start, words in MEASURED.items() if line[3:].startswith(start)), ""), -1
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if "MB per CPU s" in cells:
            column = cells.index("MB per CPU s")
        elif heading and column >= 0 and cells[0] in known and len(cells) > column and re.fullmatch(r"[\d.,]+", cells[column]):
            found.setdefault(known[cells[0]], []).append((heading, cells[column]))
    return found
