"""One owner's part in a joint private fine-tuning: its own train.yaml and ledger, and the job that all owners agreed
on.

    party.yaml  train: train.yaml         model, base, objective, optimizer, data and output of this owner
                ledger: out/docs          reserves the whole run before data is read
    job.yaml    finetune: {steps: 200, units: 30000, rows: 300, sigma: 1.1, clip: 1.0, classes: [...]}

Steps, rows and noise come from the job. Everything else that shapes the model must be equal at all owners, and is
checked. The run is that of `training/private.py`, with the same checkpoints, resuming and metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpusmill.privacy.certification import Certification
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.secure.federated import Federated
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.rounds import Rounds
from corpusmill.privacy.settings import PrivacySettings
from corpusmill.training import checkpoint, settings
from corpusmill.training.private import SECRET, train
from corpusmill.training.settings import TrainSettings
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.storage import write_atomic


def part(node: Node, certify: Callable[[TrainSettings], Certification | None] | None = None) -> dict[str, Any]:
    """Take part until the last step. Returns {step, checkpoint, epsilon, delta, sigma}, and `validation` if there is
    public data.

    certify: returns the certification of this owner's data; called if the data is a dataset.
    Raises BudgetError where this owner's ledger has too little left, ProtocolError where owners differ or too few are left.
    """
    job, party, agreed = node.job, node.party, node.job.finetune
    if agreed is None or not party.train or not party.ledger:
        raise RecipeError(
            f"{party.name}: a fine-tuning needs `train` (a train.yaml) and `ledger` in the party's settings."
        )
    own = settings.load(party.train)
    if own.privacy is not None:
        raise RecipeError(f"{party.train}: leave the section `privacy` out: the job and `ledger` of the party say it.")
    own = own.model_copy(update={"steps": agreed.steps, "batch": own.batch.model_copy(update={"rows": agreed.rows})})
    privacy = PrivacySettings(
        ledger=party.ledger,
        unit=agreed.unit,
        units=agreed.units,
        sigma=agreed.sigma,
        clip=agreed.clip,
        clipping=agreed.clipping,
        max_rows=agreed.max_rows,
        what=f"joint fine-tuning {job.job} of {', '.join(job.parties.owners)}",
    )
    output = Path(own.output)
    _belongs(output, job.session)
    last = checkpoint.newest(output)
    if last is not None and not (output / SECRET).exists() and checkpoint.read_state(last)["step"] == agreed.steps:
        ledger = Ledger(party.ledger)  # it was killed between its last step and its report
        return {"step": agreed.steps, "checkpoint": str(last), "epsilon": ledger.spent(), "sigma": agreed.sigma}

    def make(model: Any, dp: Any, units: Any, secret: Secret, *rest: Any) -> Federated:
        return Federated(Rounds(node, secret), model, dp, units, secret, *rest)

    own = own.model_copy(update={"privacy": privacy})
    return train(own, privacy, classes=agreed.classes, make=make, certification=certify(own) if certify else None)


def _belongs(output: Path, session: str) -> None:
    """Refuse checkpoints of another job, because its secret must not draw the same noise twice."""
    path = output / "job.json"
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8"))["session"] != session:
            raise RecipeError(f"{output}: belongs to another job. Name another `output` in train.yaml.")
    elif checkpoint.newest(output) is not None or (output / SECRET).exists():
        raise RecipeError(f"{output}: holds a run of one owner alone. Name another `output` in train.yaml.")
    else:
        output.mkdir(parents=True, exist_ok=True)
        write_atomic(str(path), json.dumps({"session": session}).encode())
