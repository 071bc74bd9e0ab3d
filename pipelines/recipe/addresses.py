"""Where `--set` finds a recipe's steps, sources and training stages: by name.

`train.student.steps=500`, `steps.minhash.threshold=0.9`, `steps.clean#2.form=NFC`, `sources.web.path=b/*.gz`.
"""

from __future__ import annotations

from typing import Any

from corpusmill.transforms.settings.overrides import Refused, Start
from corpusmill.transforms.settings.spelling import nearest
from corpusmill.transforms.settings.yaml_positions import Marked


def locate(marked: Marked, names: list[str], step_names: list[str]) -> Start:
    """The mapping that a dotted name leads into. `step_names`: the recipe's steps in their order. Raises Refused."""
    if names[0] == "train" and isinstance(stages := marked.value.get("train"), list):
        return _stage(stages, names)
    if names[0] not in ("steps", "sources"):
        return Start(marked.value, (), names)
    if len(names) < 3:
        raise Refused(f"`{'.'.join(names)}` names no field", f"write `{names[0]}.NAME.field=value`")
    if names[0] == "steps":
        return _step(marked, names, step_names)
    entries = marked.value.get("sources")
    entries = entries if isinstance(entries, list) else []
    known = [str(entry.get("name")) if isinstance(entry, dict) else "" for entry in entries]
    i = _index("source", names[1], known)
    return Start(entries[i], ("sources", i), names[2:])


def _stage(stages: list[Any], names: list[str]) -> Start:
    """The fields of a stage of `train`, where that is a list."""
    if len(names) < 3:
        raise Refused(f"`{'.'.join(names)}` names no field of a stage", "write `train.NAME.field=value`")
    i = _index("stage", names[1], [str(s.get("name", "")) if isinstance(s, dict) else "" for s in stages])
    return Start(stages[i], ("train", i), names[2:])


def _step(marked: Marked, names: list[str], step_names: list[str]) -> Start:
    """The fields of a step. A step written as its name alone gets fields."""
    i = _index("step", names[1], step_names)
    entries: list[Any] = marked.value["steps"]
    if isinstance(entries[i], str):
        key = entries[i]
        entries[i] = {key: {}}
        marked.keys["steps", i, key] = marked.values["steps", i]
    key = next(iter(entries[i]))
    if entries[i][key] is None:
        entries[i][key] = {}
    return Start(entries[i][key], ("steps", i, key), names[2:])


def _index(what: str, name: str, known: list[str]) -> int:
    if not name or name not in known:
        listed = f"it has: {', '.join(filter(None, known))}"
        raise Refused(f"the recipe has no {what} `{name}`", nearest(name, known) or listed)
    return known.index(name)
