"""One owner's part in averaging models: it turns the owner's own run into a run with the average of all owners.

    party.yaml  model: runs/docs          this owner's run, by `corpusmill train`, private or not
    job.yaml    average: {weights: {north: 3, south: 1, east: 1}}

The average is taken of the changes of the trained parameters: all of them, the adapters, or the prompt. The two factors
of an adapter are averaged separately, as in FedIT (Zhang et al. 2023), so the result is the product of averages and not
the average of products. Owners may train on any data for any time. Base, shape, tokenizer, method, classes and seed
must be equal at all owners to the last bit.

The result, JOB.model, is an ordinary run: it can be evaluated, served, exported, and be the base of the next round. Its
state names the owners, their weights and the privacy of each run. If populations are disjoint, each population keeps
the guarantee of its owner's run: the average is made of that model and of models that never saw the population
(post-processing, Dwork and Roth 2014, proposition 2.1). An owner whose run was not private has no guarantee and is
named.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.privacy.guarantee import Guarantee
from corpusmill.privacy.secure import average
from corpusmill.privacy.secure.average import Averaged, Statement
from corpusmill.privacy.secure.node import Node
from corpusmill.training import build, checkpoint
from corpusmill.training.output_lock import held
from corpusmill.training.settings import TrainSettings
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError, RecipeError


def part(node: Node) -> dict[str, Any]:
    """Take part until the average is written. Returns {owners, private, parameters, precision, result}, and
    `encryption` at the key holder.

    Raises ProtocolError if owners differ, are too few, or are missing; DatasetError if the run or its base has changed.
    """
    job, party = node.job, node.party
    average.settings_of(job)
    if not party.model:
        raise RecipeError(f"{party.name}: an average needs `model`, this owner's run, in the party's settings.")
    output = party.results(job.job) / f"{job.job}.model"
    if output.exists():  # refused before anything is sent
        with held(output):
            _refuse_another_run(node, output)
    run = _chosen(node)
    state = checkpoint.read_state(run)
    settings = TrainSettings.model_validate(state["train"])
    base = settings.tune.base
    if base and state["digests"]["base"] != build.base_digest(base):
        raise DatasetError(f"{run}: was trained on another base than {base} holds now. Restore that base.")
    vocabulary = Vocabulary(run / "tokenizer.json")
    model = build.build(settings, state["classes"])
    start, trained = build.trainable(model), checkpoint.read_tensors(run / "model.safetensors")
    if {n: p.shape for n, p in start.items()} != {n: t.shape for n, t in trained.items()}:
        raise DatasetError(f"{run}: holds other parameters than its settings say. Name another run.")
    update = np.concatenate([(trained[n].double() - p.detach().double()).flatten().numpy() for n, p in start.items()])
    averaged = average.as_owner(node, update, _same(settings, state, vocabulary, model), stated(state))
    with held(output):  # this makes the folder, so a refused job leaves none
        _refuse_another_run(node, output)  # it may have been written meanwhile
        result = _write(node, output, run, state, _moved(start, averaged.update), averaged)
    named = {
        o: {"epsilon": s.epsilon, "delta": s.delta} for o, s in averaged.owners.items() if s.private and s.certified
    }
    return {
        "owners": list(averaged.owners),
        "private": named,
        "parameters": len(update),
        "precision": averaged.precision,
        **({"encryption": averaged.encryption} if averaged.encryption else {}),
        "result": str(output),
        "checkpoint": str(result),
    }


def _refuse_another_run(node: Node, output: Path) -> None:
    last = checkpoint.newest(output)
    if last is not None and checkpoint.read_state(last).get("average", {}).get("session") != node.job.session:
        raise RecipeError(f"{output}: holds another run. Name another `output` in the settings of {node.party.name}.")


def _chosen(node: Node) -> Path:
    """The checkpoint that this owner began the job with. It may change until something of it was sent.

    Raises DatasetError where it has changed since, or another is named.
    """
    asked = node.party.model

    def choose() -> dict[str, np.ndarray]:
        path = checkpoint.find(asked).absolute()
        kept = {"asked": asked.encode(), "path": str(path).encode(), "digest": _digest(path)}
        return {name: np.frombuffer(value, np.uint8) for name, value in kept.items()}

    others = node.job.parties.everyone
    if not any(node.store.sent(other, kind, 0) for other in others for kind in ("agreed", "guarantee")):
        node.store.drop("model")
    kept = {name: bytes(value) for name, value in node.store.once("model", choose).items()}
    path = Path(kept["path"].decode())
    if kept["asked"] != asked.encode() or _digest(path) != kept["digest"]:
        raise DatasetError(
            f"{asked}: is not what {node.name} began the job with, {path} as it was then. Restore it, or start the job under a "
            "new name."
        )
    return path


def _digest(path: Path) -> bytes:
    seen = hashlib.sha256()
    for name in ("model.safetensors", "state.json", "tokenizer.json"):
        if not (path / name).exists():
            raise DatasetError(f"{path / name}: is not there. An average needs the run's whole checkpoint.")
        with (path / name).open("rb") as file:
            seen.update(hashlib.file_digest(file, "sha256").digest())
    return seen.digest()


def _same(settings: TrainSettings, state: dict[str, Any], vocabulary: Vocabulary, model: nn.Module) -> dict[str, bytes]:
    """Digests of everything that must be equal at all owners."""
    tune = settings.tune.model_dump(mode="json", exclude={"base"})
    shape = settings.model.model_dump(mode="json", exclude={"dropout", "max_length"})  # neither changes a weight
    tensors = [[name, list(p.shape), str(p.dtype)] for name, p in build.trainable(model).items()]
    initial = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        initial.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    same = {
        "tokenizer": vocabulary.digest,
        "base": state["digests"].get("base", ""),
        "shape of the model": shape,
        "objective": settings.objective.name,
        "classes": state["classes"],
        "tune": tune,
        "names and shapes of tensors": tensors,
    }
    hashed = {name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest() for name, value in same.items()}
    return hashed | {"initial weights": initial.digest()}


def stated(state: dict[str, Any]) -> Statement:
    """What the state of a checkpoint guarantees to its own population."""
    if not state.get("guarantee"):
        return Statement()
    own = Guarantee.model_validate(state["guarantee"])
    return Statement(True, own.certified, own.unit == "document", own.epsilon, own.delta, own.total, own.ledger)


def _moved(start: dict[str, nn.Parameter], update: np.ndarray) -> dict[str, Tensor]:
    """The initial parameters plus the average of the changes."""
    parts = torch.from_numpy(update).split([p.numel() for p in start.values()])
    return {
        name: (p.detach().double() + part.view(p.shape)).to(p.dtype).contiguous()
        for (name, p), part in zip(start.items(), parts, strict=True)
    }


def _write(
    node: Node, output: Path, run: Path, state: dict[str, Any], tensors: dict[str, Tensor], averaged: Averaged
) -> Path:
    """The checkpoint of the average: this owner's checkpoint with new parameters and a record of the owners."""
    job, agreed = node.job, average.settings_of(node.job)
    owners = []
    for owner, s in averaged.owners.items():
        known = s._asdict() if s.private else {"private": False}
        owners.append({"name": owner, "weight": agreed.weights.get(owner, 1.0), **known})
    origin = {
        "job": job.job,
        "session": job.session,
        "method": agreed.method,
        "party": node.name,
        "model": str(run),
        "owners": owners,
        "left_out": [o for o in job.parties.owners if o not in averaged.owners],
        "precision": averaged.precision,
    }
    joint = guaranteed(node.name, job.job, state, averaged)
    joined_state = {
        "step": 0, "targets": 0, "best": None, "best_step": 0, "bad": 0, "epoch": 0,
        "digests": {k: v for k, v in state["digests"].items() if k in ("tokenizer", "settings", "base")},
        "settings": state["settings"], "classes": state["classes"], "model": state["model"],
        "train": {**state["train"], "output": str(output)}, "world": 1, "torch": torch.__version__, "average": origin,
        **({"guarantee": joint.model_dump(mode="json")} if joint else {}),
    }  # fmt: skip
    return checkpoint.write(output, tensors, {}, joined_state, (run / "tokenizer.json").read_bytes(), 1)


def guaranteed(me: str, job: str, state: dict[str, Any], averaged: Averaged) -> Guarantee | None:
    """The guarantees of an average: those of the own run for the own population, and those that other owners state for
    theirs; None if no run was private. state: of the own run."""
    of_others = [
        Guarantee(
            population=f"the owner {owner}'s",
            unit="document" if s.documents else f"as {owner} names it",
            adjacency=f"as in the ledger of {owner}",
            epsilon=s.epsilon,
            delta=s.delta,
            total=s.total,
            ledger=s.ledger,
            runs=(),
            certified=s.certified,
            assumptions=(f"{owner} stated it in the job {job}", "no person is in the populations of two owners"),
        )
        for owner, s in averaged.owners.items()
        if owner != me and s.private
    ]
    own = [Guarantee.model_validate(state["guarantee"])] if state.get("guarantee") else []
    newer = {g.ledger for g in [*own, *of_others]}
    before = [g for one in own for g in one.also if g.ledger not in newer]  # of the base
    every = [*own, *of_others, *before]
    return every[0].model_copy(update={"also": tuple(every[1:])}) if every else None
