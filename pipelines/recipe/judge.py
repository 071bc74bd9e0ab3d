"""Judges what a recipe does with private data: its steps, the files and models that they read, and the training.

Each judgement is added to a `corpusmill.privacy.certification.Certification`: a refusal with a way out, or an assumption.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from corpusmill.privacy.certification import SAFE, Certification, Refusal, learned_from
from corpusmill.transforms.generate.step import models_of

Place = tuple[str | int, ...]
"""Where a refusal belongs in the recipe that is read, or () for a recipe in a manifest."""


def judge_step(name: str, transform: Any, where: str, place: Place, certification: Certification) -> None:
    """Judge one step, with the files and models that it reads."""
    reach = _reach(transform, certification)
    certification.steps.append((name, reach))
    if reach == "private":
        certification.spends.append(name)
    elif reach not in SAFE:
        reason, way_out = transform.refusal
        certification.refusals.append(Refusal(where, name, reach, reason, way_out, place))
    if reach in SAFE and not type(transform).__module__.startswith("corpusmill."):
        certification.assume(
            f"the class `{name}` looks at one document, or one unit, at a time: it says so of itself ({reach})"
        )
    if transform.name == "where":
        certification.assume(
            f"the column `{transform.column}` was computed for each document alone, not over all of them"
        )
    for path in transform.files():
        _judge_file(path, where, certification, place)
    for _, spec in models_of(transform):
        if "://" in spec:
            certification.assume(
                f"the server of {spec.partition('?')[0]}, which is sent private text, keeps and tells none of it"
            )
        judge_model(spec, where, certification, place)


def _reach(transform: Any, certification: Certification) -> str:
    """The stability of a step with its fields as they are."""
    certification.named = transform.unit_column() or certification.named
    stability, assumption = transform.reach(lambda column: _is_unit(column, certification))
    if assumption:
        certification.assume(assumption)
    return stability


def _is_unit(column: str, certification: Certification) -> bool:
    """Whether the values of a column are the units, or parts of them."""
    if column == "unit":  # what the step `unit` made it of, if there was one
        column = certification.named or certification.unit
    return column == (certification.unit if certification.unit != "document" else "id")


def _judge_file(path: str, where: str, certification: Certification, place: Place = ()) -> None:
    """A file that decides what a step does: refused where it was made from private data, else an assumption."""
    hidden = learned_from(path)
    if hidden:
        reason = f"the file was learned from the private source {', '.join(hidden)}"
        way_out = (
            "make it from public data (a tokenizer, a word list or a reference model carries text of those it saw)"
        )
        _refuse(certification, where, os.path.basename(path), reason, way_out, place)
    elif copied := certification.copy_of(path):
        reason, way_out = f"the file is taken for public, and is {copied}", "use a file that was made from public data"
        _refuse(certification, where, os.path.basename(path), reason, way_out, place)
    else:
        certification.assume(f"{path} was made from public data only")


def judge_model(spec: str, where: str, certification: Certification, place: Place = ()) -> list[dict[str, Any]]:
    """A model that decides what a step or a run does, or shards of what one said (`objective.teacher`): refused where it was
    trained on private data without a guarantee. Returns the guarantees that it carries.
    """
    import corpusmill.training.serving.openers  # noqa: F401  registers the schemes
    from corpusmill.training import provenance
    from corpusmill.transforms.generate.model import members_of, scheme_of

    for member in members_of(spec):
        folder = member.partition(":")[2] if scheme_of(member) else member
        is_path = "://" not in member and ("/" in folder or folder.startswith("."))
        if not certification.check_paths or not is_path or os.path.exists(folder):
            continue
        reason = f"there is no such model ({folder}); nobody can say what it learned"
        _refuse(certification, where, os.path.basename(spec), reason, "correct its path, or make it before", place)
        return []
    known = provenance.of(spec)
    for hidden in known.unguarded:
        reason = f"the model was trained on the {hidden} without a guarantee"
        way_out = "use one that was trained on public data, or privately"
        _refuse(certification, where, os.path.basename(spec), reason, way_out, place)
    for name in known.unknown:
        certification.assume(f"the model {name} was trained on public data only")
    return known.guarantees


def judge_training(settings: Any, name: str, base_dir: Path, certification: Certification) -> None:
    """Judge what a training run takes from private data besides its gradients."""
    from corpusmill.training.provenance import MODELS
    from corpusmill.training.settings import resolved

    certification.assume("the number of units that is given as public is not itself taken from the private data")
    where = f"{name}, train"
    evaluation = getattr(settings, "evaluation", None)
    if getattr(evaluation, "patience", 0) and getattr(settings.data, "validation", None):
        reason = "the step at which training stops is chosen on validation data, which is private unless it is public"
        way_out = "fix the number of steps (`patience: 0`), or validate on public data outside of the run"
        _refuse(certification, where, "evaluation.patience", reason, way_out, ("train", "evaluation", "patience"))
    if getattr(settings.model, "tie", False):
        reason = "tied weights have no exact per-sample gradients in every mode"
        _refuse(certification, where, "model.tie", reason, "set `tie: false`", ("train", "model", "tie"))
    if validation := settings.data.validation:
        copied = certification.copy_of(str(base_dir / validation))
        hidden = learned_from(str(base_dir / validation))
        if copied or hidden:
            what = copied or f"the private source {', '.join(hidden)}"
            reason = f"its figures are written without noise, and it holds {what}"
            way_out = "validate on public data, or leave it out and measure where the data may be seen"
            _refuse(certification, where, "data.validation", reason, way_out, ("train", "data", "validation"))
        certification.assume(f"{validation} is public: its figures are written as they are")
    if settings.data.tokenizer:
        _judge_file(str(base_dir / settings.data.tokenizer), where, certification, ("train", "data", "tokenizer"))
    for section, field in MODELS:
        if spec := resolved(getattr(getattr(settings, section), field), base_dir):
            judge_model(spec, where, certification, ("train", section, field))


def _refuse(certification: Certification, where: str, what: str, reason: str, way_out: str, place: Place) -> None:
    """Refuse a file, a model or a setting by which one privacy unit reaches others."""
    certification.refusals.append(Refusal(where, what, "cross", reason, way_out, place))
