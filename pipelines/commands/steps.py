"""The verb steps: lists the transforms that a recipe can name, and explains one."""

from __future__ import annotations

import inspect
from typing import Any

import click

from corpusmill.pipelines.commands import JSON, print_json
from corpusmill.pipelines.wording import say


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@JSON
def steps(name: str | None, as_json: bool) -> None:
    """List the steps of corpusmill; of NAME, show what it does, its fields with their defaults, and an example."""
    from corpusmill.pipelines.recipe.registry import load, usable
    from corpusmill.pipelines.report.steps import render, render_list
    from corpusmill.transforms.errors import RecipeError

    if name is None:
        known = usable()
        listed = [{"name": n, "kind": _kind(c), "purpose": _purpose(c)} for n, c in known.items()]
        print_json(listed) if as_json else say(render_list(listed))
        return
    if ":" in name:
        raise RecipeError(f"`{name}` is a class of your own; `corpusmill steps` explains the steps of corpusmill")
    cls = load(name)
    fields = [
        {
            "name": n,
            "required": f.is_required(),
            "default": None if f.is_required() else f.get_default(call_default_factory=True),
            "about": f.description or "",
        }
        for n, f in cls.model_fields.items()
    ]
    about: dict[str, Any] = {"name": cls.name, "kind": _kind(cls), "version": cls.version}
    about |= {"doc": inspect.cleandoc(cls.__doc__ or ""), "fields": fields, "example": cls.example}
    print_json(about) if as_json else say(render(about))


def _purpose(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _kind(cls: type) -> str:
    from corpusmill.transforms.base import Expand, Filter, Group, Map, Terminal

    return next(kind.__name__.lower() for kind in (Map, Filter, Expand, Group, Terminal) if issubclass(cls, kind))
