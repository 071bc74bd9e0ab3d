"""What the command line calls: train, evaluate, generate, chat and export as plain functions. Imports torch when called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.training import settings as settings_module
from corpusmill.transforms.errors import DatasetError, MissingDependencyError, RecipeError

if TYPE_CHECKING:
    import numpy as np

    from corpusmill.privacy.certification import Certification
    from corpusmill.training.build import Loaded
    from corpusmill.training.settings import TrainSettings
    from corpusmill.transforms.progress import Tell


def _need_torch() -> None:
    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"training needs {error.name}: pip install corpusmill[train]") from error


def train(
    settings: str | Path | TrainSettings,
    overrides: Iterable[str] = (),
    certification: Certification | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train with a train.yaml (or settings), from the newest checkpoint. See `corpusmill.training.loop.train`.

    certification: of the data, for a private run on a dataset: `corpusmill.pipelines.recipe.certify.of_training(settings)`.
    tell: takes reports of progress.
    """
    if not isinstance(settings, settings_module.TrainSettings):
        settings = settings_module.load(settings, overrides)
    _need_torch()
    if settings.privacy is not None:
        from corpusmill.training.private import train as run_privately

        return run_privately(settings, settings.privacy, certification=certification, tell=tell)
    from corpusmill.training.loop import train as run

    return run(settings, tell=tell)


def teach(settings: TrainSettings, teachers: str, how: Mapping[str, Any]) -> dict[str, Any]:
    """Write what the teachers say of the rows of `settings` into `objective.teacher`, where it is not there yet.

    teachers: a model, or `ensemble:A,B`. how: kind, draws, top_k, copies and noise of `corpusmill.training.serving.teach.teach`.
    """
    _need_torch()
    from corpusmill.training.data import Shards
    from corpusmill.training.serving.teach import teach as run

    data, objective = settings.data, settings.objective
    rows = Shards(data.train, data.snapshot, data.domain)
    out = str(objective.teacher)
    return run(rows, teachers, out, temperature=objective.temperature, seed=settings.seed, **how)


def evaluate(
    path: str | Path, data: str | None = None, rows: int = 0, tell: Tell | None = None, split: str | None = None
) -> dict[str, Any]:
    """Loss, accuracy and bits per byte of a run or checkpoint on `data` (its own validation data when left out).

    Of data with a column `split`, the rows of `validation` are measured, else those of `test`, or those of `split`. `split`: the
    one that was measured, or None. `trained_on`: the model was trained on these rows. tell: takes reports of progress.
    """
    _need_torch()
    from corpusmill.training import build
    from corpusmill.training.evaluate import measure
    from corpusmill.training.parallel import Parallel
    from corpusmill.transforms.mix.split import TEST, VALIDATION

    loaded = build.load(path)
    settings = loaded.settings
    where = data or settings.data.validation or settings.data.train
    settings = settings.model_copy(update={"evaluation": settings.evaluation.model_copy(update={"rows": rows})})
    parallel = Parallel(settings.runtime)
    try:
        parts = (split,) if split else (VALIDATION, TEST)
        held = build.rows_of(where, settings, loaded.vocabulary, loaded.classes or None, parts, split is not None)
        part = getattr(held, "part", None)
        if split and part is None:
            raise DatasetError(
                f"{where}: its rows are not divided, so --split {split} names none of them. Leave --split out."
            )
        model = loaded.model.to(parallel.device)
        objective = build.objective_of(settings, loaded.vocabulary)
        result = measure(model, objective, held, loaded.vocabulary, parallel, settings, tell)
    finally:
        parallel.close()
    from corpusmill.training.checkpoint import read_state

    digests = read_state(loaded.path)["digests"]
    same = os.path.abspath(where) == os.path.abspath(settings.data.train) or held.digest == digests.get("data")
    learned = digests.get("split")  # None: all rows
    seen = same and (part is None or learned is None or part == learned)
    return {"checkpoint": str(loaded.path), "data": where, "split": part, "trained_on": seen, **result}


def generate(
    path: str | Path,
    prompts: list[str],
    max_tokens: int = 128,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 0.95,
    seed: int = 1,
    tell: Tell | None = None,
) -> list[str]:
    """A continuation of each prompt. The same prompt and seed give the same text, independent of other prompts. tell: takes
    reports of progress."""
    _need_torch()
    from corpusmill.training import build

    return _continue(build.load(path), prompts, max_tokens, temperature, top_k, top_p, seed, tell=tell)


def continues(path: str | Path) -> bool:
    """Whether a run's model continues the prompt. An encoder-decoder writes a separate text."""
    from corpusmill.training.checkpoint import find, read_state

    return str(read_state(find(path))["train"]["model"]["kind"]) != "encoder-decoder"


def _continue(
    loaded: Loaded,
    prompts: list[str],
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    ids: list[np.ndarray] | None = None,
    tell: Tell | None = None,
) -> list[str]:
    """ids: of the prompts, where they are more than the prompts' text."""
    import pyarrow as pa

    from corpusmill.training.parallel import Parallel
    from corpusmill.training.serving.generate import generate as run
    from corpusmill.training.serving.prompts import encode
    from corpusmill.transforms.random import Keyed

    vocabulary = loaded.vocabulary
    loaded.model.to(Parallel(loaded.settings.runtime).device)
    keys = Keyed(seed, "generate").keys(pa.array(prompts, pa.string()))
    new = run(
        loaded.model,
        encode(vocabulary, prompts, loaded.settings.model.kind, loaded.settings.objective.name) if ids is None else ids,
        max_tokens,
        vocabulary.special.ends,
        keys,
        temperature,
        top_k,
        top_p,
        vocabulary.size,
        start=vocabulary.special.start,
        tell=tell,
    )
    return [vocabulary.decode(row) for row in new]


def chat(
    path: str | Path,
    lines: Iterable[str] | None = None,
    max_tokens: int = 256,
    temperature: float = 0.7,
    top_p: float = 0.95,
    seed: int = 1,
) -> Iterator[str]:
    """One answer a line of `lines` (the terminal when left out), rendered by the run's first template without needs, or by its
    chat template if it was tuned on conversations.

    Each line stands alone. A model that was not instruction tuned continues the line.
    """
    _need_torch()
    from corpusmill.training import build
    from corpusmill.training.finetune import templates
    from corpusmill.training.finetune.chat import chat_of

    loaded = build.load(path)
    spoken = chat_of(loaded.settings, loaded.vocabulary) if loaded.state.get("conversations") else None
    pattern = "{instruction}"
    if loaded.settings.objective.name == "instruction":
        plain = [t for t in templates.load(loaded.settings.objective.templates) if not t.needs]
        pattern = plain[0].prompt if plain else pattern
    for line in sys.stdin if lines is None else lines:
        text = line.rstrip("\n")
        prompt = pattern.format_map(_Same(text))
        ids = [spoken.prompt([{"role": "user", "content": text}])] if spoken else None
        yield _continue(loaded, [prompt], max_tokens, temperature, 0, top_p, seed, ids)[0]


class _Same(dict[str, str]):
    """Every field of a template is the line itself, except `input`, which is empty."""

    def __init__(self, line: str) -> None:
        super().__init__(input="")
        self.line = line

    def __missing__(self, key: str) -> str:
        return self.line


def export(path: str | Path, folder: str | Path, adapters: bool = False) -> Path:
    """Write a run's model for others to load: a decoder of ours as a Llama checkpoint, a tuned Hugging Face model as it came.

    adapters: write LoRA's adapters alone, as `peft` reads them. Otherwise they are merged first. provenance.json says
    which private text is behind the model: see `corpusmill.training.provenance`.
    """
    _need_torch()
    from corpusmill.training import build, provenance
    from corpusmill.training.finetune import lora
    from corpusmill.training.huggingface import Adapter
    from corpusmill.training.serving import export as writer

    loaded = build.load(path)
    model, vocabulary, tune = loaded.model, loaded.vocabulary, loaded.settings.tune
    if adapters and not (isinstance(model, Adapter) and tune.method == "lora"):
        raise RecipeError(
            f"{path}: is no run of `tune: {{base: hf:..., method: lora}}`, so it has no adapters for peft. Export it whole."
        )
    base = (tune.base or "").removeprefix("hf:")
    if isinstance(model, Adapter) and adapters:
        written = writer.adapters(model, folder, base, tune, loaded.settings.objective.name)
    elif isinstance(model, Adapter):
        lora.merge(model)
        written = writer.theirs(model, folder, base, loaded.classes)
    else:
        end = vocabulary.end if vocabulary.end < vocabulary.size else None
        written = writer.ours(lora.merge(model), folder, vocabulary.path, end)
    provenance.write(written, loaded.state, provenance.of(str(loaded.path)))
    return written
