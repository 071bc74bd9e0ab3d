"""Self-training: rounds of teacher and student (Noisy Student: Xie et al. 2020). Held-out labels decide once, at the end.

    OUTPUT/unlabelled/part-00000.parquet           the documents, in shards
    OUTPUT/rounds/00/{model, result.json}          the first teacher, trained on the labels alone
    OUTPUT/rounds/01/{labels/, pseudo.parquet, train.parquet, model, result.json}
    OUTPUT/beside/01/...                           the second line, which selects in another way
    OUTPUT/report.json                             accuracies, the gate's verdict, and why the run stopped

In a round, the teacher labels the unlabelled documents (`corpusmill.pipelines.selftrain.pseudo_labels`), some are selected,
and a student is trained on them and on the labels, with noise on its input if that is set. Each student teaches the next round of
its line. When all are trained, the best of them on held-out documents is compared with the first teacher by a test that keeps its
level over all students (`corpusmill.transforms.generate.select.decide`), and becomes the model, or the teacher stays. Every part is
stored when it is done, so a killed run continues there and never asks a model twice. Accuracy on held-out documents is biased
upward, because they decide; `test` decides nothing and is measured once at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import corpusmill.training.serving.openers  # noqa: F401
from corpusmill.pipelines.selftrain.pseudo_labels import Documents, Probabilities
from corpusmill.pipelines.selftrain.settings import Select, SelfTrain, load
from corpusmill.transforms.document import text_ids
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.generate.calibrate import calibration_error, threshold
from corpusmill.transforms.generate.model import open_model
from corpusmill.transforms.generate.select import balanced, decide
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.storage import write_atomic
from corpusmill.transforms.tables import save_table

__all__ = ["SelfTrain", "label_all", "load", "selftrain"]


def selftrain(
    settings: SelfTrain, workers: int = 1, report_line: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Run all rounds, or continue; returns the report, which is also in `report.json`.

    Args:
        settings: the selftrain.yaml.
        workers: workers that label.
        report_line: called with a line for each round.

    Raises:
        DatasetError: a file lacks a column or a label, or `output` holds the rounds of other settings or data.
    """
    from corpusmill.training.finetune.documents import read_table

    out = Path(settings.output)
    labelled, held = (_documents(read_table(p), p, True) for p in (settings.labelled, settings.held_out))
    unlabelled = _documents(read_table(settings.unlabelled), settings.unlabelled, False)
    test = _documents(read_table(settings.test), settings.test, True) if settings.test else None
    about = _about(settings, labelled, held, unlabelled)
    _claim(out, about)
    shards = _shards(out / "unlabelled", unlabelled, settings.shard_rows)
    documents = Documents(labelled, held, unlabelled, settings.shard_rows)

    def right(model: str, table: pa.Table) -> np.ndarray:
        opened = open_model(model)
        found = np.array([*opened.classes, ""])[opened.classify(table["text"].to_pylist()).argmax(axis=1)]
        return found == np.array(table["label"].to_pylist())

    first = _trained(settings, out / "rounds" / "00", labelled)
    now = right(first, held)
    lines: list[dict[str, Any]] = [
        {"round": 0, "model": first, "digest": open_model(first).digest, "held_out": float(now.mean())}
    ]
    report_line(f"round 0: {len(labelled):,} labels, held-out accuracy {now.mean():.4f}")
    students: list[dict[str, Any]] = []
    answers: list[np.ndarray] = []
    empty = []
    for place, select in settings.lines.items():
        teaching = first
        for number in range(1, settings.rounds + 1):
            folder = out / place / f"{number:02}"
            teacher = open_model(teaching)
            logits = label_all(shards, teaching, folder, workers)
            spoken = teacher.classify(held["text"].to_pylist())
            p = documents.probabilities(teacher.classes, logits, spoken, select.evenness, select.spread)
            taken, chosen = _select(settings, select, number, p, unlabelled)
            about_round = {
                "teacher": teacher.digest,
                "round": number,
                "line": place,
                "seed": settings.seed,
                "temperature": p.temperature,
            }
            soft = settings.soft(select)
            pseudo = _pseudo(soft, unlabelled, taken, p.shares, teacher.classes, about_round)
            _write(folder / "pseudo.parquet", pseudo)
            line: dict[str, Any] = {**about_round, **chosen, "selected": len(taken)}
            if not len(taken):
                empty.append(f"round {number} of {place}: no document was selected; {chosen['because']}")
                lines.append(line | {"because": empty[-1]})
                break
            wanted = ["id", "text", "label", *(["probabilities"] if soft else [])]
            student = _trained(
                settings, folder, pa.concat_tables([labelled, pseudo.select(wanted)], promote_options="default"), number
            )
            answers.append(right(student, held))
            line |= {"model": student, "digest": open_model(student).digest, "held_out": float(answers[-1].mean())}
            lines.append(line)
            students.append(line)
            report_line(f"round {number} of {place}: {len(taken):,} labels, held-out accuracy {answers[-1].mean():.4f}")
            teaching = student
    verdict = decide(
        now, np.array(answers).reshape(-1, len(held)), settings.gate.level, settings.gate.min_gain, settings.seed
    )
    best = students[verdict.place] if verdict.kept else lines[0]
    stopped = "; ".join([*empty, f"the best student is {'kept' if verdict.kept else 'refused'}: {verdict.because}"])
    report: dict[str, Any] = {
        "about": about,
        "rounds": lines,
        "gate": asdict(verdict),
        "best_round": best["round"],
        "model": best["model"],
        "stopped": stopped,
    }
    if test is not None:
        before, after = right(first, test), right(best["model"], test)
        d = after.astype(np.float64) - before
        error = float(d.std(ddof=1) / np.sqrt(len(d))) if len(d) > 1 else 0.0
        figures = {"before": float(before.mean()), "after": float(after.mean()), "difference": float(d.mean())}
        report["test"] = {**figures, "error": error, "documents": len(test)}
    report_line(f"stopped: {stopped}; the model is {best['model']}")
    write_atomic(str(out / "report.json"), json.dumps(report, indent=1, sort_keys=True).encode(), fsync=False)
    return report


def label_all(shards: list[str], teacher: str, folder: Path, workers: int) -> np.ndarray:
    """The teacher's logits of all shards, by `corpusmill.pipelines.selftrain.labelling`."""
    from corpusmill.pipelines.selftrain.labelling import label

    return label(shards, teacher, str(folder / "labels"), workers)


def _select(
    settings: SelfTrain, select: Select, number: int, p: Probabilities, unlabelled: pa.Table
) -> tuple[np.ndarray, dict[str, Any]]:
    """The selected rows, and the facts about the selection for the report."""
    confidence, held = p.shares.max(axis=1, initial=0.0), p.held.max(axis=1)
    right = p.held.argmax(axis=1) == p.wanted
    about: dict[str, Any] = {
        "calibration_error": calibration_error(held, right),
        "class_shares": [round(float(s), 6) for s in p.class_shares],
    }
    if select.by == "rank":
        share = min(1.0, select.share + (number - 1) * select.growth)
        order = Keyed(settings.seed, f"selftrain\0{number}").keys(unlabelled["id"].combine_chunks())
        chosen, shares = p.shares.argmax(axis=1), p.class_shares
        return balanced(chosen, confidence, order, share, len(shares), shares), about | {"share": share}
    limit = threshold(held, right, select.min_precision)
    about |= {
        "threshold": limit if np.isfinite(limit) else None,
        "because": f"no confidence promises a precision of {select.min_precision:g} on the held-out labels",
    }
    return np.flatnonzero(confidence >= limit), about


def _pseudo(
    soft: bool,
    unlabelled: pa.Table,
    taken: np.ndarray,
    shares: np.ndarray,
    names: list[str],
    about: dict[str, Any],
) -> pa.Table:
    """The selected documents with the teacher's label, its confidence and its origin."""
    rows = unlabelled.select(["id", "text"]).take(pa.array(taken))
    labels = pa.array([names[c] for c in shares[taken].argmax(axis=1)], pa.string())
    made_by = json.dumps({"transform": "selftrain", **about}, sort_keys=True)
    rows = rows.append_column("label", labels).append_column(
        "confidence", pa.array(shares[taken].max(axis=1, initial=0.0))
    )
    if soft:
        ends = pa.array(np.arange(0, len(taken) * len(names) + 1, len(names), dtype=np.int32))
        lists = pa.ListArray.from_arrays(ends, pa.array(shares[taken].ravel().astype(np.float32)))
        rows = rows.append_column("probabilities", lists)
    return rows.append_column("labelled_by", pa.array([made_by] * len(taken), pa.string()))


def _trained(settings: SelfTrain, folder: Path, table: pa.Table, number: int = 0) -> str:
    """The model of a round, trained if it does not exist yet. Students also read noisy copies of the documents."""
    if number and settings.noise is not None:
        batch = table.append_column("source", pa.array(["selftrain"] * len(table))).combine_chunks().to_batches()[0]
        noisy = settings.noise.expand(batch, Keyed(settings.seed, f"noise\0{number}"))
        table = pa.Table.from_batches([noisy]).select(table.column_names)
    _write(folder / "train.parquet", table)
    if settings.train is None:
        from corpusmill.training.serving.linear import ABOUT, Linear

        model = folder / "model"
        if not (model / ABOUT).exists():
            texts, (targets, classes) = table["text"].to_pylist(), _targets(table)
            Linear.fit(texts, targets, classes, settings.linear.l2, settings.linear.steps).save(model)
        return f"linear:{model}"
    from corpusmill.training.commands import train
    from corpusmill.training.settings import from_mapping

    values = {"seed": settings.seed, **settings.train, "objective": {"name": "classification"}}
    values["output"] = str(folder / "model")
    values["data"] = {**(settings.train.get("data") or {}), "train": str(folder / "train.parquet")}
    train(from_mapping(values, where="train"))
    return str(folder / "model")


def _targets(table: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Targets of a linear student, and the classes. Targets are the teacher's probabilities, or else the label."""
    labels = table["label"].to_pylist()
    classes = sorted(set(labels))
    place = {name: i for i, name in enumerate(classes)}
    targets = np.eye(len(classes))[[place[label] for label in labels]]
    if "probabilities" in table.column_names:
        soft = table["probabilities"].combine_chunks()
        rows = np.flatnonzero(soft.is_valid().to_numpy(zero_copy_only=False))
        targets[rows] = soft.drop_null().flatten().to_numpy().reshape(len(rows), len(classes))
        targets /= targets.sum(axis=1, keepdims=True)  # float32 does not sum to exactly 1
    return targets, classes


def _documents(table: pa.Table, path: str, labels: bool) -> pa.Table:
    """Columns id, text and, with `labels`, label as a string. Documents without an id get a hash of their text."""
    for name in ("text", "label") if labels else ("text",):
        if name not in table.column_names:
            raise DatasetError(f"{path}: has no column {name}; it has {', '.join(table.column_names)}")
    text = pc.fill_null(table["text"].cast(pa.string()), "").combine_chunks()
    ids = table["id"].cast(pa.string()) if "id" in table.column_names else text_ids("selftrain", text)
    columns = {"id": ids, "text": text}
    if labels:
        if table["label"].null_count or not len(table):
            raise DatasetError(
                f"{path}: {table['label'].null_count} of {len(table)} documents have no label; each needs one"
            )
        columns["label"] = table["label"].cast(pa.string())
    return pa.table(columns)


def _about(settings: SelfTrain, *tables: pa.Table) -> str:
    """Digest of everything that decides the result: the settings without paths, and the documents."""
    from corpusmill.transforms.arrow import logical_digest

    kept = settings.model_dump(mode="json", exclude={"output", "labelled", "held_out", "unlabelled", "test", "rounds"})
    key = json.dumps([kept, *[logical_digest(t) for t in tables]], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _claim(out: Path, about: str) -> None:
    path = out / "about.json"
    out.mkdir(parents=True, exist_ok=True)
    if path.exists():
        try:
            known = json.loads(path.read_bytes())["about"]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{path}: is damaged ({error}). Restore it, name another output, or delete the folder."
            ) from error
        if known != about:
            raise DatasetError(
                f"{out}: holds rounds of other settings or documents. Name another output, or delete the folder."
            )
    write_atomic(str(path), json.dumps({"about": about}).encode(), fsync=False)


def _shards(folder: Path, table: pa.Table, rows: int) -> list[str]:
    paths = []
    for number, first in enumerate(range(0, len(table), rows)):
        path = folder / f"part-{number:05}.parquet"
        _write(path, table.slice(first, rows))
        paths.append(str(path))
    return paths


def _write(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically, unless it exists: the settings decide its content."""
    if not path.exists():
        save_table(path, table, fsync=False)
