"""`--set a.b=c`: overrides a field from the command line. Mistakes are shown in the words that were typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from corpusmill.transforms.settings import yaml_positions
from corpusmill.transforms.settings.mistakes import Mistakes
from corpusmill.transforms.settings.yaml_positions import Marked, Path, Problem, Spot

NAME = "--set"
EXAMPLE = "seed=7"


class Start(NamedTuple):
    """Where the rest of an override's target begins: a value of the file, its path, and the names below it."""

    value: Any
    path: Path
    names: list[str]


class Refused(Exception):  # noqa: N818
    """An override's target does not exist: (what is wrong, advice)."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what, advice)


Locate = Callable[[Marked, list[str]], Start]


def from_the_top(marked: Marked, names: list[str]) -> Start:
    """Look for every name from the file's top level. A recipe also addresses steps and sources by name."""
    return Start(marked.value, (), names)


def apply_override(override: str, marked: Marked, mistakes: Mistakes, locate: Locate = from_the_top) -> None:
    """Change `marked.value` as `override` says, or note what is wrong with the override.

    Args:
        override: `field=value` or `section.field=value`; the value is YAML.
        locate: finds where the dotted names of the target begin. Raises Refused.
    """
    target, equals, value = override.partition("=")
    here = Spot(NAME, override, 1, 1, max(1, len(target)))
    if not equals or not target.strip():
        advice = f"write `field=value`, as in `{EXAMPLE}`"
        mistakes.problems.append(Problem(here, f"`{override}` sets nothing", advice))
        return
    offset = len(target) + 1
    parsed = yaml_positions.parse(b" " * offset + value.encode(errors="replace"), NAME)
    if parsed.problems:
        mistakes.problems += [replace(p, spot=replace(p.spot, source=override)) for p in parsed.problems]
        return
    try:
        parent, path = _parent(locate(marked, [part.strip() for part in target.split(".")]), marked, here)
    except Refused as refusal:
        mistakes.problems.append(Problem(here, *refusal.args))
        return
    parent[path[-1]] = parsed.value
    for table in (marked.values, marked.keys):
        for old in [p for p in table if p[: len(path)] == path]:
            del table[old]
    spots = {p: replace(s, source=override) for p, s in parsed.values.items()}
    marked.keys[path] = here
    marked.values[path] = spots.get((), replace(here, column=offset + 1, width=1))
    marked.values.update({(*path, *p): s for p, s in spots.items() if p})
    marked.keys.update({(*path, *p): replace(s, source=override) for p, s in parsed.keys.items()})


def _parent(start: Start, marked: Marked, here: Spot) -> tuple[dict[Any, Any], Path]:
    """The mapping that holds the last name, and the path of that name. Absent mappings are made, and stand at `here`."""
    current, path = start.value, start.path
    for name in start.names[:-1]:
        if not isinstance(current, dict):
            break
        path = (*path, name)
        if current.get(name) is None:
            current[name] = {}
            marked.keys[path] = marked.values[path] = here
        current = current[name]
    if not isinstance(current, dict):
        raise Refused(f"`{path[-1]}` is {yaml_positions.word_for(current)} and has no field `{start.names[-1]}`")
    return current, (*path, start.names[-1])
