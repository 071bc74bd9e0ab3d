"""The Dataflow Flex Template: its parameters and its launcher.

    python -m corpusmill.pipelines.runners.flex_template > docker/flex/metadata.json        # after a change of the recipe's fields

The parameters are a recipe in a bucket, and scalar fields that override those of the recipe. The launcher lists the
sources, builds the graph with the commit as its last step, stores a record of the run, and ends without waiting.
`corpusmill commit DIR --run ID` may commit a finished run again; this changes nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from corpusmill.pipelines.recipe.model import SLUG, Head, Output, loads
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError, RecipeError

RECIPE = "recipe"
_URI = r"^(gs|s3)://[^/]+/.+$"


def metadata() -> dict[str, Any]:
    """The metadata for `gcloud dataflow flex-template build --metadata-file`, from the fields of the recipe's
    models."""
    what = "URI of the recipe, a YAML file whose sources and output lie in gs:// or s3://."
    parameters = [
        {
            "name": RECIPE,
            "label": "Recipe",
            "helpText": what,
            "paramType": "TEXT",
            "isOptional": False,
            "regexes": [_URI],
        }
    ]
    parameters += [_parameter(name, path, field) for name, (path, field) in overridable().items()]
    return {
        "name": "corpusmill",
        "description": "Prepares a text corpus for language models by a recipe, and commits a snapshot of the dataset.",
        "parameters": parameters,
    }


def overridable() -> dict[str, tuple[str, FieldInfo]]:
    """Parameters of the template and the recipe's fields that they override: `output_path` -> `output.path`."""
    found = {n: (n, f) for n, f in Head.model_fields.items() if n != "output"}
    return found | {f"output_{n}": (f"output.{n}", f) for n, f in Output.model_fields.items()}


def _parameter(name: str, path: str, field: FieldInfo) -> dict[str, Any]:
    choices = get_args(field.annotation) if get_origin(field.annotation) is not None else ()
    pattern = (
        rf"^({'|'.join(map(re.escape, choices))})$"
        if choices
        else {"name": SLUG, "output_path": _URI}.get(name, r"^\d+$" if field.annotation is int else r"^.+$")
    )
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": f"{str(field.description).rstrip('.')}. Instead of the recipe's own `{path}`.",
        "paramType": "TEXT",
        "isOptional": True,
        "regexes": [pattern],
    }


def split(arguments: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """(URI of the recipe, overrides, flags for Beam) of a launcher's command line.

    >>> split(["--recipe=gs://b/r.yaml", "--output_path=gs://b/out", "--project=p"])
    ('gs://b/r.yaml', ['output.path=gs://b/out'], ['--project=p'])

    Raises:
        RecipeError: no recipe is named.
    """
    fields = overridable()
    uri, overrides, flags = "", [], []
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name == RECIPE:
            uri = value
        elif name in fields and argument.startswith("--"):
            overrides.append(f"{fields[name][0]}={value}")
        else:
            flags.append(argument)
    if not re.match(_URI, uri):
        raise RecipeError(f"--recipe={uri}: name a recipe in a bucket, as in --recipe=gs://bucket/corpus.yaml")
    return uri, overrides, flags


def launch(arguments: Sequence[str]) -> str:
    """Hand the recipe to Dataflow; returns the id of the run, or "" if nothing is new."""
    from corpusmill.pipelines.runners import submit

    uri, overrides, flags = split(arguments)
    # the service adds its own flags about the launch
    flags = [f for f in flags if not f.startswith("--runner=")]
    recipe = loads(storage.read_bytes(uri), uri, Path("/"), overrides)
    handed = submit.submit(recipe, "dataflow", None, flags)
    return handed[0] if handed else ""


def main(arguments: Sequence[str]) -> int:
    """Launch, or print the metadata where there is nothing to launch; returns the exit code."""
    if not arguments:
        print(json.dumps(metadata(), indent=2))
        return 0
    try:
        run = launch(arguments)
        print(f"Run {run} is handed over; its last step commits the snapshot." if run else "Nothing new.")
    except CorpusmillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
