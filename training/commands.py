"""What the command line calls: train, evaluate, generate, chat and export as plain functions. Imports torch when called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.training import settings as settings_module
from corpusmill.transforms.errors import MissingDependencyError

if TYPE_CHECKING:
    from corpusmill.privacy.certification import Certification
    from corpusmill.training.build import Loaded
    from corpusmill.training.settings import TrainSettings


def _need_torch() -> None:
    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"training needs {error.name}: pip install corpusmill[train]") from error


def train(
    settings: str | Path | TrainSettings, overrides: Iterable[str] = (), certification: Certification | None = None
) -> dict[str, Any]:
    """Train as a train.yaml (or settings) says; goes on where the last checkpoint stands. See `corpusmill.training.loop.train`.

    certification: of the data, for a private run on a dataset: `corpusmill.pipelines.recipe.certify.of_training(settings)`.
    """
    if not isinstance(settings, settings_module.TrainSettings):
        settings = settings_module.load(settings, overrides)
    _need_torch()
    if settings.privacy is not None:
        from corpusmill.training.private import train as run_privately

        return run_privately(settings, settings.privacy, certification=certification)
    from corpusmill.training.loop import train as run

    return run(settings)


def evaluate(path: str | Path, data: str | None = None, rows: int = 0) -> dict[str, Any]:
    """Loss, accuracy and bits per byte of a run or checkpoint on `data` (its own validation data when left out)."""
    _need_torch()
    from corpusmill.training import build
    from corpusmill.training.evaluate import measure
    from corpusmill.training.parallel import Parallel

    loaded = build.load(path)
    settings = loaded.settings
    where = data or settings.data.validation or settings.data.train
    settings = settings.model_copy(update={"evaluation": settings.evaluation.model_copy(update={"rows": rows})})
    parallel = Parallel(settings.runtime)
    try:
        held = build.rows_of(where, settings, loaded.vocabulary, loaded.classes or None)
        model = loaded.model.to(parallel.device)
        objective = build.objective_of(settings, loaded.vocabulary)
        result = measure(model, objective, held, loaded.vocabulary, parallel, settings)
    finally:
        parallel.close()
    return {"checkpoint": str(loaded.path), "data": where, **result}


def generate(
    path: str | Path,
    prompts: list[str],
    max_tokens: int = 128,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 0.95,
    seed: int = 1,
) -> list[str]:
    """A continuation of each prompt. The same prompt and seed give the same text, whatever else is asked."""
    _need_torch()
    from corpusmill.training import build

    return _continue(build.load(path), prompts, max_tokens, temperature, top_k, top_p, seed)


def continues(path: str | Path) -> bool:
    """Whether the text of a run's model goes on where the prompt ends; an encoder-decoder writes another text."""
    from corpusmill.training.checkpoint import find, read_state

    return str(read_state(find(path))["train"]["model"]["kind"]) != "encoder-decoder"


def _continue(
    loaded: Loaded, prompts: list[str], max_tokens: int, temperature: float, top_k: int, top_p: float, seed: int
) -> list[str]:
    import pyarrow as pa

    from corpusmill.training.parallel import Parallel
    from corpusmill.training.serving.generate import generate as run
    from corpusmill.transforms.random import Keyed

    vocabulary = loaded.vocabulary
    loaded.model.to(Parallel(loaded.settings.runtime).device)
    keys = Keyed(seed, "generate").keys(pa.array(prompts, pa.string()))
    new = run(
        loaded.model,
        vocabulary.encode(prompts),
        max_tokens,
        vocabulary.end,
        keys,
        temperature,
        top_k,
        top_p,
        vocabulary.size,
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
    """One answer a line of `lines` (the terminal when left out), rendered by the run's first template without needs.

    Each line stands alone: the model was tuned on single turns. A model that was not instruction tuned continues the line.
    """
    _need_torch()
    from corpusmill.training import build
    from corpusmill.training.finetune import templates

    loaded = build.load(path)
    pattern = "{instruction}"
    if loaded.settings.objective.name == "instruction":
        plain = [t for t in templates.load(loaded.settings.objective.templates) if not t.needs]
        pattern = plain[0].prompt if plain else pattern
    for line in sys.stdin if lines is None else lines:
        prompt = pattern.format_map(_Same(line.rstrip("\n")))
        yield _continue(loaded, [prompt], max_tokens, temperature, 0, top_p, seed)[0]


class _Same(dict[str, str]):
    """Every field of a template is the line itself, but `input`, which a line has not."""

    def __init__(self, line: str) -> None:
        super().__init__(input="")
        self.line = line

    def __missing__(self, key: str) -> str:
        return self.line


def export(path: str | Path, folder: str | Path) -> Path:
    """Write a run's decoder as a Llama checkpoint for `transformers` and servers; adapters are merged first.

    What the run knows of private text goes along, in provenance.json: see `corpusmill.training.provenance`.
    """
    _need_torch()
    from corpusmill.training import build, huggingface, provenance
    from corpusmill.training.finetune import lora

    loaded = build.load(path)
    model: Any = lora.merge(loaded.model)
    vocabulary = loaded.vocabulary
    end = vocabulary.end if vocabulary.end < vocabulary.size else None
    written = huggingface.export(model, folder, vocabulary.path, end)
    provenance.write(written, loaded.state, provenance.of(str(loaded.path)))
    return written
