"""Collects every mistake of a settings file, each with its place, what is wrong, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from corpusmill.transforms.secrets import REFUSED, mask, remedy, secrets_in
from corpusmill.transforms.settings.explain import Complaint, explain, joined
from corpusmill.transforms.settings.spelling import nearest
from corpusmill.transforms.settings.yaml_positions import Marked, Path, Problem

Model = TypeVar("Model", bound=BaseModel)


class Mistakes:
    """The mistakes of one parsed file."""

    def __init__(self, marked: Marked) -> None:
        self.marked = marked
        self.problems: list[Problem] = marked.problems

    def add(self, path: Path, what: str, advice: str = "", key: bool = False) -> None:
        """Note a mistake at the value (with `key`: at the key) of `path`."""
        self.problems.append(Problem(self.marked.find(path, key), what, advice))

    def ordered(self) -> list[Problem]:
        """All mistakes without repeats, in the order of their lines; those of the command line come last. Secrets are masked."""
        own = self.marked.name
        problems = [replace(p, what=mask(p.what), advice=mask(p.advice)) for p in dict.fromkeys(self.problems)]
        return sorted(problems, key=lambda p: (p.spot.document != own, p.spot.line, p.spot.column))

    def refuse_secrets(self) -> None:
        """Note every text of the file that has a password or key in an address."""
        for path, text in secrets_in(self.marked.value):
            field = next((part for part in reversed(path) if isinstance(part, str)), "")
            self.add(path, f"`{field}`: {REFUSED}", remedy(text))

    def unknown_sections(self, raw: dict[str, Any], known: Iterable[str], owner: str = "a recipe") -> None:
        """Note each top-level key of `raw` that is not `known`. `owner` is what has the sections."""
        for section in raw:
            if section not in known:
                advice = nearest(section, known) or f"the sections are: {', '.join(known)}"
                self.add((section,), f"{owner} has no section `{section}`", advice, key=True)

    def validate(self, model: type[Model], value: Any, path: Path, where: str) -> Model | None:
        """`value` as a `model`, or None after noting its mistakes.

        Validation is strict: `true` and "3" are not numbers.

        Args:
            path: where `value` stands in the file.
            where: what messages call it, such as "the step `minhash`".
        """
        try:
            return model.model_validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError as error:
            self._note(model, error, path, where)
            return None

    def section(self, model: type[Model], raw: dict[str, Any], name: str) -> Model | None:
        """Section `name` of `raw` as a `model`; None if it is absent, or after noting its mistakes."""
        value = {} if raw.get(name) is None else raw[name]
        return self.validate(model, value, (name,), f"`{name}`") if name in raw else None

    def _note(self, model: type[BaseModel], error: ValidationError, path: Path, where: str) -> None:
        """Note pydantic's errors, with those of one value joined: a union complains once for each of its types."""
        grouped: dict[tuple[Path, str], list[Complaint]] = {}
        for item in error.errors(include_url=False):
            full = (*path, *item["loc"])
            at = self._in_file(full)
            kind = item["type"] if item["type"] in ("missing", "extra_forbidden") else ""
            grouped.setdefault((full if kind else at, kind), []).append(explain(model, item, at, where))
        for (at, kind), complaints in grouped.items():
            if not kind and any(other[: len(at)] == at != other for other, _ in grouped):
                continue  # one type of a union refuses a whole list, while another names the bad entry
            if not kind and any(p.spot == self.marked.find(at) for p in self.problems):
                continue  # for example an alias, which was noted while parsing and left nothing behind
            advice = next((c.advice for c in complaints if c.advice), "")
            self.add(at, joined([c.what for c in complaints]), advice, complaints[0].of_key)

    def _in_file(self, path: Path) -> Path:
        """The parts of a pydantic location that stand in the file. It also names types of unions, which do not."""
        at: Path = ()
        for part in path:
            if (*at, part) in self.marked.values:
                at = (*at, part)
        return at


def render(problems: list[Problem], what: str = "the recipe") -> str:
    """All mistakes with their lines, and how many there are in `what`."""
    total = f"{len(problems)} mistake{'' if len(problems) == 1 else 's'} in {what}"
    return "\n".join([*(p.render() for p in problems), total])
