"""Beam's options from the flags after `--`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from corpusmill.transforms.errors import RecipeError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


def pipeline_options(flags: Sequence[str]) -> PipelineOptions:
    """Beam's options from flags.

    Raises:
        RecipeError: Beam would silently ignore a flag, or refuses a value.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    made = PipelineOptions(list(flags))
    try:
        known = made.get_all_options(drop_default=False, retain_unknown_options=False)
    except SystemExit:  # argparse has printed the reason to standard error
        raise RecipeError(f"a Beam option behind `--` has a value that it does not take: {' '.join(flags)}") from None
    names = set(known) | _flag_names()
    unknown = [f for f in flags if f.startswith("--") and f[2:].split("=")[0].replace("-", "_") not in names]
    if unknown:
        told = "; ".join(f"{flag}{_meant(flag, names)}" for flag in unknown)
        raise RecipeError(f"unknown Beam option{'s' if len(unknown) > 1 else ''} behind `--`: {told}")
    return made


def _meant(flag: str, names: set[str]) -> str:
    """The known option that an unknown one is most like, as an addition to a message; "" if there is none."""
    near = difflib.get_close_matches(flag[2:].split("=")[0].replace("-", "_"), sorted(names), 1)
    return f" (did you mean --{near[0]}?)" if near else ""


def _flag_names() -> set[str]:
    """Every flag of every loaded options class. A flag may set a value of another name (`--labels`)."""
    import argparse

    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for cls in PipelineOptions.__subclasses__():
        cls._add_argparse_args(_Values(parser))
    return {s[2:].replace("-", "_") for action in parser._actions for s in action.option_strings if s.startswith("--")}


class _Values:
    """An argument parser that treats value-provider arguments as plain ones."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_argument(self, *names: str, **fields: Any) -> None:
        self._parser.add_argument(*names, **fields)

    add_value_provider_argument = add_argument

    def add_mutually_exclusive_group(self, **fields: Any) -> _Values:
        return _Values(self._parser.add_mutually_exclusive_group(**fields))
