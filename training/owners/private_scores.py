"""What a trained model knows of canaries: a score each, from which `corpusmill.privacy.audit` tells how much it keeps of
single rows.

    score   minus the mean loss of the canary's own targets, less that of a reference model if there is one: Carlini et al.
            2022, "Membership inference attacks from first principles", section 4, with one reference
    min_k   mean log-probability of the least likely fifth of its tokens (Shi et al. 2024)

A canary is read as the run read its rows: with its objective, templates and length.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from corpusmill.privacy.audit import min_k
from corpusmill.training import build
from corpusmill.training.build import Loaded
from corpusmill.training.finetune.documents import Documents, read_table
from corpusmill.training.objective_table import objective_class
from corpusmill.training.objectives import IGNORE, label_losses
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.hashing import mix64_array

ROWS, DRAWS = 64, 8
"""Rows of one pass; passes with masks of their own, where the objective draws some."""


def score(run: str | Path, canaries: str | Path, reference: str | Path | None = None) -> pa.Table:
    """The table (id, member, score, min_k) of the canaries in `members.jsonl` of the folder `canaries`, or in a file.

    run, reference: runs or checkpoints; both must know the same classes and columns. Raises BadFileError for a file that
    says of no row whether it is a member.
    """
    path = Path(canaries) / "members.jsonl" if Path(canaries).is_dir() else Path(canaries)
    table = read_table(str(path))
    if "member" not in table.column_names or "id" not in table.column_names:
        raise BadFileError(
            str(path), "has no columns `id` and `member`", "give what `corpusmill privacy canaries` wrote"
        )
    values, least = _likelihoods(build.load(run), path)
    if reference is not None:
        values = values - _likelihoods(build.load(reference), path)[0]
    return pa.table({"id": table["id"], "member": table["member"], "score": values, "min_k": least})


@torch.no_grad()
def _likelihoods(loaded: Loaded, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(mean log-probability of the targets, that of the least likely fifth) of each row: float64 [n] each."""
    settings = loaded.settings
    if objective_class(settings.objective.name).taught:
        raise RecipeError(f"{loaded.path}: a distilled model has no targets of its own to score canaries by.")
    rows = Documents(str(path), settings, loaded.vocabulary, loaded.classes or None)
    objective = build.objective_of(settings, loaded.vocabulary)
    draws = DRAWS if objective_class(settings.objective.name).draws else 1
    tokens: list[list[np.ndarray]] = [[] for _ in range(len(rows))]
    for begin in range(0, len(rows), ROWS):
        index = np.arange(begin, min(begin + ROWS, len(rows)))
        for draw in range(draws):
            keys = mix64_array(index.astype(np.uint64) + np.uint64(draw << 32))
            prepared = objective.prepare(rows.rows(index), keys)
            batch: dict[str, Tensor] = {name: torch.from_numpy(column) for name, column in prepared.items()}
            losses = label_losses(objective.logits(loaded.model, batch), batch["labels"])
            values = losses.double().numpy().reshape(len(index), -1)
            wanted = (batch["labels"] != IGNORE).numpy().reshape(len(index), -1)
            for i, loss, mask in zip(index.tolist(), values, wanted):
                tokens[i].append(-loss[mask])
    each = [np.concatenate(parts) for parts in tokens]
    return min_k(each, 1.0), min_k(each)
