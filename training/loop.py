"""The training loop, from settings to the last checkpoint, in one function that reads from top to bottom.

A step runs forward and backward on each micro-batch, divides once by the number of targets over all processes, clips
once and updates once. All randomness is a function of (seed, step), so a stopped run continues bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from corpusmill.training import build, checkpoint
from corpusmill.training.data import Loader, Rows
from corpusmill.training.distill import teacher_size
from corpusmill.training.evaluate import measure
from corpusmill.training.metrics import Metrics
from corpusmill.training.objectives import IGNORE, NO_TARGETS, Batch
from corpusmill.training.order import Order
from corpusmill.training.output_lock import held
from corpusmill.training.parallel import Parallel, fill, whole
from corpusmill.training.schedule import rate
from corpusmill.training.settings import TrainSettings
from corpusmill.transforms.errors import DatasetError, RecipeError, TrainingError
from corpusmill.transforms.hashing import hash_text
from corpusmill.transforms.progress import Tell


def train(
    settings: TrainSettings,
    stop_at: int | None = None,
    data: Rows | None = None,
    validation: Rows | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train to `settings.steps`, or pause after `stop_at` steps.

    data, validation: rows in memory (`corpusmill.training.data.Arrays`) instead of those that the settings name. tell: takes
    reports of progress.

    Under torchrun every process calls it. Returns {step, loss (of the last step), checkpoint, stopped,
    best_step, parameters}, and the last evaluation as `validation`.

    Raises:
        RecipeError: the settings, the data and the base are inconsistent.
        DatasetError: there are no rows, or the newest checkpoint is of other data or damaged.
        LockedError: another process trains into the same folder.
        TrainingError: the loss is not finite, or the checkpoint could not be written.
    """
    if settings.privacy is not None:
        raise RecipeError(
            "privacy: this loop trains without noise; `corpusmill.training.private.train` is the private one."
        )
    parallel = Parallel(settings.runtime)
    try:
        with contextlib.ExitStack() as lock:
            return _train(settings, parallel, lock, stop_at, data, validation, tell)
    finally:
        parallel.close()


def _train(
    settings: TrainSettings,
    parallel: Parallel,
    lock: contextlib.ExitStack,
    stop_at: int | None,
    data: Rows | None,
    validation: Rows | None,
    tell: Tell | None,
) -> dict[str, Any]:
    # what is trained on
    vocabulary = build.vocabulary_of(settings)
    if settings.tune.base:  # the base says which kind of model the documents are for
        settings = build.resolve(settings, vocabulary, 0)
    named = data is None  # by the settings
    data = build.rows_of(settings.data.train, settings, vocabulary) if data is None else data
    classes: list[str] = getattr(data, "classes", [])
    # rows that are not divided hold no validation part: they are not read a second time to find that out
    if validation is None and (settings.data.validation or (named and getattr(data, "part", None))):
        validation = build.held_out(settings, vocabulary, classes)
    if not settings.tune.base:
        settings = build.resolve(settings, vocabulary, getattr(data, "length", 0) or settings.data.length)
    objective = build.objective_of(settings, vocabulary)

    # what is trained
    raw = build.build(settings, classes)
    notes = [*getattr(data, "notes", ()), *getattr(validation, "notes", ()), *settings.notes(parallel.world)]
    rows = data
    data = build.packed(rows, raw, settings)
    validation = None if validation is None else build.packed(validation, raw, settings)
    loader = Loader(
        data,
        objective,
        _order(data, settings),
        settings.batch.rows,
        settings.batch.micro_rows,
        parallel.rank,
        parallel.world,
    )
    model = parallel.wrap(raw)
    parameters = build.trainable(raw)
    optimizer = _optimizer(parameters, settings, parallel)
    vocabulary_size = settings.model.vocabulary or 0

    # where it stands
    digests = {"data": data.digest, "tokenizer": vocabulary.digest, "settings": settings.digest()}
    if part := getattr(data, "part", None):
        digests["split"] = part
    if settings.tune.base:
        digests["base"] = build.base_digest(settings.tune.base)
    if settings.objective.states_of:
        digests["states_of"] = build.base_digest(settings.objective.states_of)
    state: dict[str, Any] = {"step": 0, "targets": 0, "best": None, "best_step": 0, "bad": 0}
    lock.enter_context(held(settings.output, parallel.rank))
    last = checkpoint.to_resume(settings.output, settings.resume)
    if last is not None:
        stored = checkpoint.read_state(last)
        other = settings.allow_other_data
        allowed = {
            "data": other,
            "split": other,
            "tokenizer": other,
            "base": other,
            "states_of": other,
            "settings": settings.allow_other_settings,
        }
        checkpoint.check_same(last, stored, digests, allowed, settings.shaping())
        state = {name: stored[name] for name in state}
        restore(last, parameters, optimizer, state["step"])
    steps = settings.steps if stop_at is None else min(stop_at, settings.steps)
    result: dict[str, Any] = {"step": state["step"], "checkpoint": str(last) if last else None, "stopped": None}
    result["notes"] = notes
    if settings.stopped_early(state):  # and stays complete in later calls
        steps, result["stopped"] = state["step"], _early(state)

    def save() -> None:
        """All processes gather and the first one writes. If it fails, all fail."""
        tensors, means = gathered(parameters, optimizer, parallel.rank == 0)
        error: Exception | None = None
        if parallel.rank == 0:
            full = {
                **state,
                "epoch": loader.state(state["step"])["epoch"],
                "digests": digests,
                "settings": settings.shaping(),
                "train": settings.model_dump(mode="json"),
                "model": settings.model.model_dump(mode="json"),
                "classes": classes,
                "conversations": getattr(rows, "conversations", False),
                "special_tokens": vocabulary.named.dump() if vocabulary.named else None,
                "world": parallel.world,
                "torch": torch.__version__,
            }
            protect = state["best_step"] if settings.evaluation.patience else None
            try:
                path = checkpoint.write(
                    settings.output,
                    tensors,
                    means,
                    full,
                    Path(vocabulary.path).read_bytes(),
                    settings.checkpoint.keep,
                    protect,
                )
                result["checkpoint"] = str(path)
            except TrainingError as caught:
                error = caught
        if parallel.sum(float(error is not None))[0]:
            raise error or TrainingError("process 0 could not write the checkpoint")

    began = time.monotonic()
    saved = state["step"]
    with Metrics(settings, state["step"], steps, parallel.rank == 0, tell) as metrics, on_sigterm() as asked:
        for note in notes:
            metrics.say(note)
        for step, batches in zip(range(state["step"], steps), loader.steps(state["step"], steps)):
            _check_ids(batches, vocabulary_size, settings)
            share = rate(settings.schedule, step, settings.steps)
            for group in optimizer.param_groups:
                group["lr"] = settings.optimizer.lr * share

            # one divisor for all processes and micro-batches, so every token has the same weight
            counts = float(sum((batch["labels"] != IGNORE).sum() for batch in batches))
            targets, stop = parallel.sum(counts, float(asked.is_set()))
            total = torch.zeros((), device=parallel.device)
            model.train()
            for i, batch in enumerate(batches):
                parallel.seed(hash_text(f"{settings.seed}\0dropout\0{step}\0{i}\0{parallel.rank}") >> 1)
                with parallel.accumulate(model, last=i == len(batches) - 1):
                    with parallel.autocast():
                        losses, _ = objective.loss(model, parallel.put(batch))
                    # gradients are averaged over processes, so multiply by their number; a step without targets has no
                    # gradient
                    (losses * (parallel.world / max(targets, 1.0))).backward()
                total += losses.detach()
            norm = nn.utils.clip_grad_norm_(parameters.values(), settings.optimizer.max_norm or math.inf)
            norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm

            # nothing is updated unless loss and gradients are numbers
            loss = parallel.sum(total.item())[0] / max(targets, 1.0)
            if not (math.isfinite(loss) and math.isfinite(norm.item())):
                raise TrainingError(_not_finite(step, loss, norm.item(), result["checkpoint"], settings))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            state["step"], state["targets"] = step + 1, state["targets"] + int(targets)
            result.update(step=step + 1, loss=loss)
            done = step + 1 == settings.steps
            if done or (step + 1) % settings.runtime.log_every == 0:
                values = {"loss": loss, "lr": settings.optimizer.lr * share, "grad_norm": norm.item()}
                metrics.write(
                    step + 1, values | {"targets": state["targets"], "seconds": round(time.monotonic() - began, 3)}
                )
            metrics.advance(loss, int(targets))

            if validation is not None and (done or (step + 1) % settings.evaluation.every == 0):
                measured = measure(model, objective, validation, vocabulary, parallel, settings)
                metrics.write(step + 1, {f"validation_{name}": value for name, value in measured.items()})
                result["validation"] = measured
                better = state["best"] is None or measured["loss"] < state["best"]
                state["bad"] = 0 if better else state["bad"] + 1
                if better:
                    state["best"], state["best_step"] = measured["loss"], step + 1
                if settings.stopped_early(state):
                    result["stopped"] = _early(state)
                elif settings.evaluation.patience and better:
                    save()
                    saved = step + 1
            if stop:
                result["stopped"] = asked.signal or "SIGTERM"  # that of another process
            due = done or result["stopped"] or step + 1 == steps or (step + 1) % settings.checkpoint.every == 0
            if due and not state["targets"]:
                reason = NO_TARGETS.format(settings.objective.name)
                raise DatasetError(
                    f"{settings.data.train}: {reason} Nothing was learned or written: train on longer documents."
                )
            if due and saved != step + 1:
                save()
                saved = step + 1
            if result["stopped"]:
                break
    if validation is not None and "validation" not in result:  # a run that was complete before, or paused
        result["validation"] = measure(model, objective, validation, vocabulary, parallel, settings, tell)
    return result | {"best_step": state["best_step"], "parameters": sum(p.numel() for p in raw.parameters())}


def _early(state: dict[str, Any]) -> str:
    return f"no better loss in {state['bad']} evaluations; best at step {state['best_step']}"


def _order(data: Rows, settings: TrainSettings) -> Order:
    """The order of rows: uniform, or by the given shares of the sources."""
    weights = settings.data.weights
    if not weights:
        return Order([np.arange(len(data))], None, settings.seed)
    unknown = sorted(set(weights) - set(data.sources))
    if unknown:
        have = ", ".join(sorted(data.sources)) or "none"
        raise RecipeError(f"data.weights: no row is of source {', '.join(unknown)}; the sources are {have}.")
    groups = [np.flatnonzero(data.source_of == data.sources.index(name)) for name in weights]
    return Order(groups, list(weights.values()), settings.seed)


def _optimizer(parameters: dict[str, nn.Parameter], settings: TrainSettings, parallel: Parallel) -> torch.optim.AdamW:
    """AdamW; matrices decay, norms and biases do not."""
    adam = settings.optimizer
    matrices = [p for p in parameters.values() if p.dim() >= 2]
    others = [p for p in parameters.values() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": adam.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=adam.lr, betas=(adam.beta1, adam.beta2), fused=True)


def gathered(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW, keep: bool = True
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(trained parameters, AdamW's two means), unsharded and on the CPU. Every process of a sharded model must call it.

    One tensor is gathered at a time. keep: whether this process writes them; the others drop each at once and get nothing.
    """

    def take(tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        kept = {}
        for name, tensor in tensors:
            full = whole(tensor)
            if keep:
                kept[name] = full
        return kept

    means = (
        (f"{name}.{key}", optimizer.state[p][key])
        for name, p in parameters.items()
        if p in optimizer.state  # a part that the objective never reaches has none
        for key in ("exp_avg", "exp_avg_sq")
    )
    return take(parameters.items()), take(means)


def restore(
    folder: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW, step: int
) -> dict[str, torch.Tensor]:
    """Parameters and AdamW's means of a checkpoint, on every process its own part; returns what optimizer.safetensors holds."""
    weights = checkpoint.read_tensors(folder / "model.safetensors")
    means = checkpoint.read_tensors(folder / "optimizer.safetensors")
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    if {name: tuple(w.shape) for name, w in weights.items()} != shapes:
        raise DatasetError(f"{folder}: holds a model of another shape. Train into another folder.")
    for name, parameter in parameters.items():
        fill(parameter.data, weights[name])
        if f"{name}.exp_avg" not in means:
            continue
        beside = parameter.device if optimizer.defaults["fused"] else "cpu"  # where the optimizer counts
        entry = {"step": torch.tensor(float(step), device=beside)}
        for key in ("exp_avg", "exp_avg_sq"):
            entry[key] = torch.zeros_like(parameter.data)
            fill(entry[key], means[f"{name}.{key}"])
        optimizer.state[parameter] = entry
    return means


def _check_ids(batches: list[Batch], size: int, settings: TrainSettings) -> None:
    """Refuse ids outside the vocabulary before they reach the embedding, which on a GPU would abort the process."""
    for batch in batches if size else ():
        for name in ("input_ids", "target_ids"):
            if name in batch and (highest := int(batch[name].max(initial=0))) >= size:
                raise RecipeError(
                    f"{settings.data.train}: holds token id {highest}, but the model has {size} ids. The shards were made "
                    "with another tokenizer: name theirs in data.tokenizer."
                )
        needed = teacher_size(batch)
        is_full = "teacher_logp" in batch and "teacher_ids" not in batch  # the likelihood of every id
        if needed > size or (is_full and needed < size):
            raise RecipeError(
                f"{settings.data.train}: its teacher tells {needed} ids, and the model has {size}: set model.vocabulary: {needed}."
            )


def _not_finite(step: int, loss: float, norm: float, last: str | None, settings: TrainSettings) -> str:
    what = f"loss {loss}, gradient norm {norm}"
    kept = f"the last checkpoint, {last}, is intact" if last else "there is no checkpoint yet"
    lr = settings.optimizer.lr
    return (
        f"step {step + 1}: {what}; weights were not updated, {kept}. Lower optimizer.lr ({lr}), lengthen schedule.warmup or "
        "lower optimizer.max_norm, and look at the rows of this step."
    )


class Asked:
    """Whether a signal asked the run to stop, and which: `SIGTERM` or `SIGINT`."""

    def __init__(self) -> None:
        self.signal = ""

    def is_set(self) -> bool:
        """Whether one came."""
        return bool(self.signal)


@contextlib.contextmanager
def on_sigterm() -> Iterator[Asked]:
    """Notes SIGTERM and Ctrl-C while the context lasts; the loop looks at it once a step. A second Ctrl-C ends the process."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, _: Any) -> None:
        asked.signal = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def read_metrics(output: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl."""
    path = Path(output) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if os.path.exists(path) else []
