"""Differentially private training: the loop of `corpusmill.training.loop` with the steps of `corpusmill.privacy.sgd`.

Before data is read it must have a certification (`corpusmill.privacy.certification`), and the ledger reserves what the whole
run will spend. Rows are documents, or packed rows of one unit each. They come by Poisson sampling of units and not by the
order of plain training, so a step has `batch.rows` rows only in expectation. Nothing that is written says anything about
private rows but the parameters: metrics hold the step, the rate and the clipping norm, and no training loss; the digest of
the data is sealed. A checkpoint carries its guarantee (`corpusmill.privacy.guarantee`). The run's secret lies beside the
checkpoints (OUTPUT/secret, readable by its owner alone) until the last step has run, and is deleted then. What it draws noise
for is on disk before the first draw (OUTPUT/secret.use): a run that was killed before its first checkpoint cannot go on over
other data under the same noise.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from corpusmill.privacy.accounting import Event, sigma_for
from corpusmill.privacy.certification import Certification, private_paths, require
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.guarantee import Guarantee, of_run
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.ledger_lines import RESTORE
from corpusmill.privacy.mechanisms import choice
from corpusmill.privacy.mechanisms.average import Average
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.settings import PrivacySettings
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import DOCUMENT, Units, names_of
from corpusmill.training import build, checkpoint, provenance
from corpusmill.training.data import Rows, Shards
from corpusmill.training.evaluate import measure
from corpusmill.training.finetune import head
from corpusmill.training.finetune.documents import Documents, read_table
from corpusmill.training.loop import Asked, gathered, on_sigterm, restore
from corpusmill.training.metrics import Metrics
from corpusmill.training.objective_table import objective_class
from corpusmill.training.objectives import Objective, row_losses
from corpusmill.training.output_lock import held
from corpusmill.training.parallel import Parallel
from corpusmill.training.schedule import rate as rate_at
from corpusmill.training.settings import TrainSettings
from corpusmill.training.splits import Selected
from corpusmill.transforms.errors import PrivacyError, RecipeError, VerifyError
from corpusmill.transforms.progress import Tell
from corpusmill.transforms.random import Keyed, draw_array
from corpusmill.transforms.storage import write_atomic

SECRET = "secret"
USE = "secret.use"


def train(
    settings: TrainSettings,
    privacy: PrivacySettings,
    data: Rows | None = None,
    units: Units | None = None,
    validation: Rows | None = None,
    stop_at: int | None = None,
    classes: Sequence[str] = (),
    make: Callable[..., Private] = Private,
    certification: Certification | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train privately to `settings.steps`, or pause after `stop_at`. Returns {step, checkpoint, epsilon, validation, ...}.

    data, units, validation: rows at hand and their units, instead of those that the settings name. The validation rows are
    taken to be public. classes: labels that are agreed, where rows at hand need not have all; make: a kind of `Private` whose
    sums are not this process's alone; certification: of the data, asked for where it lies in a dataset; tell: takes reports of
    progress. Raises BudgetError, before data is read, where the ledger has less left than the run would spend; PrivacyError
    where the guarantee would not hold.
    """
    settings = _with_defaults(settings)
    _refuse(settings)
    parallel = Parallel(settings.runtime)
    spend, begun = None, False
    lock = contextlib.ExitStack()
    try:
        # what it rests on, and what it may cost, before data is touched
        where, snapshot = ("rows at hand", None) if data is not None else (settings.data.train, settings.data.snapshot)
        certification = require(where, snapshot, privacy.unit, certification, privacy.allow_uncertified)
        if objective_class(settings.objective.name).classes and not classes:
            certification.assume("the names of the classes are public")
        ledger = Ledger(privacy.ledger)
        sources = private_paths(where, snapshot) if data is None else []
        lock.enter_context(held(settings.output, parallel.rank))
        secret = _secret(Path(settings.output), parallel)
        dp = _dp_settings(settings, privacy, ledger, secret)
        what = privacy.what + (" (not certified)" if certification.refusals else "")
        if parallel.rank == 0:
            spend = ledger.reserve(
                secret.name,
                dp.event(),
                what,
                privacy.unit,
                at_most=privacy.epsilon,
                token=secret.token,
                sources=sources,
            )
        parallel.barrier()
        guarantee = of_run(ledger, secret.name, certification, _before(settings, ledger))

        # what is trained on
        vocabulary = build.vocabulary_of(settings)
        if settings.tune.base:
            settings = build.resolve(settings, vocabulary, 0)
        data = build.rows_of(settings.data.train, settings, vocabulary, list(classes)) if data is None else data
        units = _units(settings, privacy.unit, data) if units is None else units
        if len(units.number) != len(data):
            raise PrivacyError(f"{len(data):,} rows have {len(units.number):,} units: each row needs one.")
        classes = list(getattr(data, "classes", []))
        if validation is None and settings.data.validation:  # public rows; those of the training data are not
            validation = build.held_out(settings, vocabulary, classes)
        if not settings.tune.base:
            settings = build.resolve(settings, vocabulary, getattr(data, "length", 0) or settings.data.length)
        objective = build.objective_of(settings, vocabulary)

        # what is trained
        model = build.build(settings, classes).to(parallel.device).train()
        parameters = build.trainable(model)
        adam = settings.optimizer
        optimizer = torch.optim.AdamW(
            parameters.values(), lr=adam.lr, betas=(adam.beta1, adam.beta2), weight_decay=adam.weight_decay
        )
        digests = {"data": secret.seal(data.digest), "tokenizer": vocabulary.digest, "settings": settings.digest()}
        if part := getattr(data, "part", None):
            digests["split"] = part
        if settings.tune.base:
            digests["base"] = build.base_digest(settings.tune.base)
        fingerprint = "\n".join(f"{k} {v}" for k, v in sorted(digests.items()))
        private = make(model, dp, units, secret, spend, fingerprint, parallel.rank, parallel.world)
        draws = Keyed(settings.seed, "private")
        everyone = np.arange(len(data), dtype=np.uint64) ^ np.uint64(draws.base)
        known = head.precomputed(model, data, objective, everyone, parallel) if settings.tune.method == "head" else None

        def batch_of(rows: np.ndarray, step: int) -> dict[str, Tensor]:
            if known is not None:
                return {name: column[torch.from_numpy(rows).to(column.device)] for name, column in known.items()}
            keys = draw_array(
                rows.astype(np.uint64) ^ np.uint64(draws.base), step
            )  # masks and the like, a stream a row
            return parallel.put(objective.prepare(data.rows(rows), keys))

        def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
            return _row_means(objective, model, batch)

        # where it stands
        last = checkpoint.newest(settings.output)
        average = Average(parameters, settings.steps, privacy.average)
        if last is not None:
            stored = checkpoint.read_state(last)
            private.restore(stored.get("privacy") or {})
            _contained(ledger, Guarantee.model_validate(stored["guarantee"]), last)
            average.restore(restore(last, parameters, optimizer, private.step))
        if len(data) < 2:
            raise PrivacyError("private training needs at least two rows.")
        private.check(losses, batch_of(_two(data), 0))

        steps = settings.steps if stop_at is None else min(stop_at, settings.steps)
        result: dict[str, Any] = {"step": private.step, "checkpoint": str(last) if last else None, "stopped": None}
        # a step of several owners waits for the others: a signal ends it at once
        signals = on_sigterm() if make is Private else contextlib.nullcontext(Asked())
        _bind(Path(settings.output), private, parallel)
        begun = True
        with Metrics(settings, private.step, steps, parallel.rank == 0, tell) as metrics, signals as asked:
            for step in range(private.step, steps):
                share = rate_at(settings.schedule, step, settings.steps)
                for group in optimizer.param_groups:
                    group["lr"] = adam.lr * share
                for i, rows in enumerate(private.begin(step)):
                    parallel.seed((draws.base ^ step * 1_000_003 ^ i) >> 1)
                    private.add(partial(losses, model, batch_of(rows, step)), rows)
                private.finish()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                average.add(step)
                if step + 1 == settings.steps:
                    average.finish()
                result["step"] = step + 1
                metrics.advance()
                if (step + 1) % settings.runtime.log_every == 0 or step + 1 == settings.steps:
                    metrics.write(step + 1, {"lr": adam.lr * share, "clip": private.clip})
                if validation is not None and (step + 1) % settings.evaluation.every == 0 and step + 1 < steps:
                    measured = measure(model, objective, validation, vocabulary, parallel, settings)
                    metrics.write(step + 1, {f"validation_{k}": v for k, v in measured.items()})
                    model.train()
                if parallel.sum(float(asked.is_set()))[0]:
                    result["stopped"] = asked.signal or "SIGTERM"
                if result["stopped"] or step + 1 == steps or (step + 1) % settings.checkpoint.every == 0:
                    if parallel.rank == 0:
                        state = {
                            "step": step + 1, "targets": 0, "best": None, "best_step": 0, "bad": 0, "epoch": 0,
                            "digests": digests, "settings": settings.shaping(), "classes": classes,
                            "train": settings.model_dump(mode="json"), "model": settings.model.model_dump(mode="json"),
                            "world": parallel.world, "torch": torch.__version__, "privacy": private.state(),
                            "guarantee": guarantee.model_dump(mode="json"),
                            "special_tokens": vocabulary.named.dump() if vocabulary.named else None,
                        }  # fmt: skip
                        tensors, means = gathered(parameters, optimizer)
                        written = checkpoint.write(
                            settings.output,
                            tensors,
                            means | average.state(),
                            state,
                            Path(vocabulary.path).read_bytes(),
                            settings.checkpoint.keep,
                        )
                        result["checkpoint"] = str(written)
                    parallel.barrier()
                if result["stopped"]:
                    break
        if private.step == settings.steps:
            private.close()
            if parallel.rank == 0:
                for name in (SECRET, USE):
                    (Path(settings.output) / name).unlink(missing_ok=True)
        else:
            private.gradients.close()
        if validation is not None:
            result["validation"] = measure(model, objective, validation, vocabulary, parallel, settings, tell)
        cost = {"epsilon": ledger.spent(), "delta": ledger.budget["delta"], "sigma": dp.sigma}
        about = {"certified": guarantee.certified, "parameters": sum(p.numel() for p in model.parameters())}
        return result | cost | about
    except Exception:
        if (
            spend is not None and spend.fresh and not begun and make is Private
        ):  # nothing was drawn: all of it is given back
            spend.close(0)
            (Path(settings.output) / SECRET).unlink(missing_ok=True)
        raise
    finally:
        lock.close()
        parallel.close()


def _with_defaults(settings: TrainSettings) -> TrainSettings:
    """Classification from a run of ours trains a new head alone, if the settings do not say what to train: fewer parameters get
    noise. A Hugging Face base may have a head of its own."""
    tune = settings.tune
    if (
        not tune.base
        or tune.base.startswith("hf:")
        or "method" in tune.model_fields_set
        or not objective_class(settings.objective.name).classes
    ):
        return settings
    return settings.model_copy(update={"tune": tune.model_copy(update={"method": "head"})})


def _refuse(settings: TrainSettings) -> None:
    checkpoint.to_resume(settings.output, settings.resume)
    if objective_class(settings.objective.name).taught:
        raise RecipeError(
            "objective.name: private training learns from the rows alone and cannot use a teacher. Use causal; or train the "
            "teacher privately, and distil it on public text, which costs nothing more."
        )
    if settings.objective.class_weights != "none":
        raise RecipeError(
            "objective.class_weights: only private labels tell how rare a class is. Set class_weights: none."
        )
    if settings.evaluation.patience:
        raise RecipeError(
            "evaluation.patience: private training runs all its steps: stopping on validation data would look at it once more. "
            "Set patience: 0."
        )
    if settings.model.tie:
        raise RecipeError("model.tie: tied weights have no exact per-sample gradients in every mode. Set tie: false.")
    if settings.data.weights:
        raise RecipeError("data.weights: private training samples units at one public rate. Leave the weights out.")
    if settings.runtime.precision == "bfloat16":
        raise RecipeError(
            "runtime.precision: private training sums clipped gradients in float32, so that one unit moves them by the clipping "
            "norm at most. Set precision: float32."
        )
    if settings.runtime.compile or settings.runtime.parallel == "fsdp":
        raise RecipeError("runtime: private training needs the bare model: compile: false, parallel: ddp.")


def _contained(ledger: Ledger, guarantee: Guarantee, where: Path) -> None:
    """Raise VerifyError where the ledger is not the one that a checkpoint was written under, or has lost lines since."""
    if guarantee.lines and not ledger.contains(guarantee.lines, guarantee.head):
        raise VerifyError(
            f"{where}: was written when the ledger had {guarantee.lines} lines, and {ledger.path} does not contain them as they "
            f"were: it was cut, edited or begun anew. {RESTORE}"
        )


def _row_means(objective: Objective, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean loss of each row over its own targets: [B]."""
    logits = (
        model.get_submodule("classes")(batch["features"]) if "features" in batch else objective.logits(model, batch)
    )
    sums, counts = row_losses(logits, batch["labels"])
    return sums / counts.clamp(min=1)


def _secret(output: Path, parallel: Parallel) -> Secret:
    """The run's secret; a new one where nothing was trained yet. All processes read the same file."""
    path = output / SECRET
    if parallel.rank == 0 and not path.exists():
        if checkpoint.newest(output) is not None:
            raise PrivacyError(
                f"{output}: holds a finished private run, or one whose secret is gone: going on would draw its noise anew "
                "without account. Train into another folder."
            )
        output.mkdir(parents=True, exist_ok=True)
        Secret().save(path)
    parallel.barrier()
    return Secret.load(path)


def _bind(output: Path, private: Private, parallel: Parallel) -> None:
    """Note what the secret draws noise for, before it draws any; raises PrivacyError where it has begun over something else."""
    path = output / USE
    begun = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if begun.get("run") == private.secret.name and (other := private.differing(begun)):
        lines = set(begun["fingerprint"].splitlines()) ^ set(private.fingerprint.splitlines())
        names = sorted({line.split(" ")[0] for line in lines} | {name for name in other if name != "fingerprint"})
        raise PrivacyError(
            f"{output}: the run was begun, and stopped before its first checkpoint, under another {' and '.join(names)}. Going on "
            "would put its noise on other sums, and the difference of the two has none. Restore what it was begun with; or train "
            "into another folder, which spends its budget anew (what this run has reserved stays spent)."
        )
    if parallel.rank == 0 and begun.get("run") != private.secret.name:
        write_atomic(str(path), json.dumps(private.state(), sort_keys=True).encode())
    parallel.barrier()


def _dp_settings(settings: TrainSettings, privacy: PrivacySettings, ledger: Ledger, secret: Secret) -> DpSettings:
    if settings.batch.rows > privacy.units:
        raise RecipeError(f"batch.rows: {settings.batch.rows} is more than privacy.units ({privacy.units}).")
    entries = ledger.entries()
    mine = [event for line, event, _ in entries if line.get("run") == secret.name]
    before = [event for line, event, _ in entries if line.get("run") != secret.name]
    target, delta = float(privacy.epsilon or 0), float(ledger.budget["delta"])
    steps, known = settings.steps, privacy.sigma or (mine[0].sigma if mine else None)  # what the run began with stays
    if privacy.noise == "independent":
        rate = settings.batch.rows / privacy.units
        shape: dict[str, Any] = {"rate": rate}
        sigma = sigma_for(target, delta, rate, steps, before, ledger.accountant) if known is None else known
    else:
        shape, sigma = _correlated(settings, privacy, known, (target, delta, before, ledger.accountant))
    return DpSettings(
        steps=settings.steps,
        sigma=sigma,
        units=privacy.units,
        clip=privacy.clip,
        clipping=privacy.clipping,
        mode=privacy.mode,
        max_rows=privacy.max_rows,
        micro_rows=settings.batch.micro_rows or min(settings.batch.rows, 64),
        **shape,
    )


def _correlated(
    settings: TrainSettings,
    privacy: PrivacySettings,
    known: float | None,
    budget: tuple[float, float, list[Event], str],
) -> tuple[dict[str, Any], float]:
    """(what `DpSettings` says of a correlated mechanism, its noise): that of the run if it has begun, or else the best one."""
    path = Path(settings.output) / USE
    begun = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if known is not None and begun.get("strategy"):
        return begun["strategy"], known
    batch, units, steps = settings.batch.rows, privacy.units, settings.steps
    if known is None:
        found = choice.plan(privacy.noise, batch, units, steps, *budget, bands=privacy.bands)
        return found.settings(), found.sigma
    if privacy.noise == "banded" and not privacy.bands:
        raise RecipeError(
            "privacy.bands: is missing. The number that is best depends on epsilon, and `sigma` is given: say it."
        )
    bands = privacy.bands or choice.most_bands(batch, units, steps)
    return choice.strategy_of(privacy.noise, bands, batch, units, steps)[0].settings(), known


def _units(settings: TrainSettings, unit: str, data: Rows) -> Units:
    """The unit of each row of `data`, which the settings name."""
    path, snapshot = settings.data.train, settings.data.snapshot
    if isinstance(data, Documents):
        return Units.of(names_of([_with_ids(read_table(path, snapshot))], unit).take(pa.array(data.kept)))
    rows: Rows = Shards(path, snapshot, domain=unit)
    if isinstance(data, Selected):
        rows = Selected(rows, data.index, data.part, "")
    if unit == DOCUMENT or (rows.source_of < 0).any():
        whose = "several documents" if unit == DOCUMENT else f"several units, for they do not name their `{unit}`"
        raise PrivacyError(
            f"{path}: packed rows hold pieces of {whose}: one unit moves the rows of others, whatever noise is added. Train on "
            "the documents themselves (end the recipe before `pack`), or name a user column as the unit and pack with "
            "`separate` set to it."
        )
    return Units.of(pa.array(rows.sources, pa.string()).take(pa.array(rows.source_of)))


def _before(settings: TrainSettings, ledger: Ledger) -> list[Guarantee]:
    """The guarantees of the model that the run starts from, and of the text that it reads.

    Raises VerifyError where one of them was given under this ledger, which has lost lines since.
    """
    known = provenance.of_settings(settings.model_dump(mode="json"))
    guarantees = [Guarantee.model_validate(one) for one in known.guarantees]
    budget = ledger.budget
    for guarantee in guarantees:
        if (guarantee.population, guarantee.unit) == (budget["population"], budget["unit"]):
            _contained(ledger, guarantee, Path(settings.tune.base or settings.data.train))
    return guarantees


def _with_ids(table: Any) -> Any:
    """A file without ids: each row is a document of its own."""
    if "id" in table.column_names:
        return table
    return table.append_column("id", pa.array([str(i) for i in range(len(table))]))


def _two(data: Rows) -> np.ndarray:
    """Two rows that differ, for the check of gradients."""
    for other in range(1, min(len(data), 1000)):
        both = data.rows(np.array([0, other]))
        if any(not np.array_equal(column[0], column[1]) for column in both.values()):
            return np.array([0, other])
    raise PrivacyError(
        "the first thousand rows are all equal: there is nothing to learn, and nothing to check gradients with."
    )
