"""`--set a.b=c`: a recipe's field from the command line, with mistakes shown in the words that were typed.

Steps and sources are addressed by name: `steps.minhash.threshold=0.9`, `steps.clean#2.form=NFC`, `sources.web.path=b/*.gz`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from corpusmill.pipelines.recipe import yaml_positions
from corpusmill.pipelines.recipe.mistakes import Mistakes
from corpusmill.pipelines.recipe.registry import nearest
from corpusmill.pipelines.recipe.yaml_positions import Marked, Path, Problem, Spot

NAME = "--set"


def apply_override(override: str, marked: Marked, found: Mistakes, step_names: list[str]) -> None:
    """Change `marked.value` as `override` says, noting what is wrong with it in `found`."""
    target, equals, value = override.partition("=")
    here = Spot(NAME, override, 1, 1, max(1, len(target)))
    if not equals or not target.strip():
        found.problems.append(Problem(here, f"`{override}` sets nothing", "write `field=value`, as in `seed=7`"))
        return
    offset = len(target) + 1
    parsed = yaml_positions.parse(b" " * offset + value.encode(errors="replace"), NAME)
    shown = {p: replace(s, source=override) for p, s in parsed.values.items()}
    if parsed.problems:
        found.problems += [replace(p, spot=replace(p.spot, source=override)) for p in parsed.problems]
        return
    parts = [p.strip() for p in target.strip().split(".")]
    at = _resolve(parts, marked, found, here, step_names)
    if at is None:
        return
    parent, path = at
    parent[path[-1]] = parsed.value
    for table in (marked.values, marked.keys):
        for old in [p for p in table if p[: len(path)] == path]:
            del table[old]
    marked.keys[path] = here
    marked.values[path] = shown.get((), replace(here, column=offset + 1, width=1))
    marked.values.update({(*path, *p): s for p, s in shown.items() if p})
    marked.keys.update({(*path, *p): replace(s, source=override) for p, s in parsed.keys.items()})


def _resolve(
    parts: list[str], marked: Marked, found: Mistakes, here: Spot, step_names: list[str]
) -> tuple[dict[Any, Any], Path] | None:
    """(the mapping that the last part is a key of, its path), or None after saying why there is none."""

    def refuse(what: str, advice: str = "") -> Any:
        found.problems.append(Problem(here, what, advice))

    current: Any = marked.value
    path: Path = ()
    if parts[0] in ("steps", "sources") and len(parts) < 3:
        return refuse(f"`{'.'.join(parts)}` names no field", f"write `{parts[0]}.NAME.field=value`")
    if parts[0] == "steps":
        name = parts[1]
        if name not in step_names:
            return refuse(
                f"the recipe has no step `{name}`", nearest(name, step_names) or f"it has: {', '.join(step_names)}"
            )
        i = step_names.index(name)
        entry = current["steps"][i]
        if isinstance(entry, str):
            current["steps"][i] = entry = {entry: {}}
            marked.keys["steps", i, next(iter(entry))] = marked.values["steps", i]
        key = next(iter(entry))
        if entry[key] is None:
            entry[key] = {}
        current, path, parts = entry[key], ("steps", i, key), parts[2:]
    elif parts[0] == "sources":
        entries = [e for e in current.get("sources") or [] if isinstance(e, dict)]
        names = [str(e.get("name")) for e in entries]
        if parts[1] not in names:
            return refuse(
                f"the recipe has no source `{parts[1]}`", nearest(parts[1], names) or f"it has: {', '.join(names)}"
            )
        i = current["sources"].index(entries[names.index(parts[1])])
        current, path, parts = current["sources"][i], ("sources", i), parts[2:]
    for part in parts[:-1]:
        if not isinstance(current, dict):
            break
        if current.get(part) is None:
            current[part] = {}
        current, path = current[part], (*path, part)
    if not isinstance(current, dict):
        return refuse(f"`{path[-1]}` is {yaml_positions.word_for(current)} and has no field `{parts[-1]}`")
    return current, (*path, parts[-1])
