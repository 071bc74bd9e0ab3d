"""One party's part of one job, from its files to its result.

The result is written whole or not at all, into the party's `output` (default: the job's folder below `state`):

    dedup   owners: JOB.drop.parquet, the ids to drop and who keeps one like each, for the step `kept-elsewhere`
    count   all: JOB.counts.parquet, one row a cell that is not empty
    mix     all: JOB.weights.json, shares and weights of the cells
    score   the owner of documents: JOB.scores.parquet
    finetune  owners: checkpoints in the `output` of their train.yaml
    average   owners: JOB.model, a run like any other

and everywhere JOB.report.json: what was computed, with whom, what each learned, what it cost. Keys and messages of a finished
job are removed; its transcript stays.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.privacy.secure import average, rounds
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.rounds import Tune
from corpusmill.privacy.secure.rows import rows_of
from corpusmill.privacy.secure.settings import Dedup, Job, Party
from corpusmill.privacy.secure.store import Store
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.storage import write_atomic
from corpusmill.transforms.tables import save_table


def run(job: Job, party: Party, files: Sequence[str], tune: Tune | None = None) -> dict[str, Any]:
    """Take part in `job` until its end; the report, which is also written. A finished job is not run again.

    files: the owner's shard files; tune: an owner's part of a fine-tuning or an average, `part` of
    `corpusmill.training.owners.federated` or `corpusmill.training.owners.average`.
    Raises ProtocolError when the parties cannot finish; the same call goes on from there. Raises RecipeError where the folders
    hold another job file's part of the name, or another party's.
    """
    folder = Path(party.state) / job.job
    output = party.results(job.job)
    report_path = output / f"{job.job}.report.json"
    session = folder / "session"
    if report_path.exists():
        report = json.loads(report_path.read_text(encoding="utf-8"))
        _same(job, report["session"], report_path)
        if report["party"] != party.name:  # what it learned is that party's alone
            raise RecipeError(
                f"{report_path}: is what {report['party']} has of the job {job.job}, and these settings name {party.name}. Give "
                "each party a `state` and an `output` of its own."
            )
        return report
    store = Store(folder)
    try:
        if session.exists():
            _same(job, session.read_text(encoding="utf-8").strip(), session)
        write_atomic(str(session), job.session.encode() + b"\n")
        output.mkdir(parents=True, exist_ok=True)
        begin, cpu = time.perf_counter(), time.process_time()
        with Node(party, job, store) as node:
            trains = job.kind in ("finetune", "average")
            outcome = _train(node, tune) if trains else _RUNS[job.kind](node, job, list(files), output)
            lines = store.transcript()
            kinds = Counter(r["kind"] for r in lines)
            report = {
                "job": job.job,
                "kind": job.kind,
                "session": job.session,
                "party": party.name,
                "role": node.role(party.name),
                **outcome,
                "sent": {"messages": dict(sorted(kinds.items())), "bytes": sum(r["bytes"] for r in lines)},
                "seconds": round(time.perf_counter() - begin, 3),
                "cpu_seconds": round(time.process_time() - cpu, 3),
            }
        write_atomic(str(report_path), (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
        store.forget_secrets()
        return report
    finally:
        store.close()


def _same(job: Job, session: str, where: Path) -> None:
    if session != job.session:
        raise RecipeError(f"{where}: the job {job.job} was run with another job file. Give a changed job a new name.")


def _dedup(node: Node, job: Job, files: list[str], output: Path) -> dict[str, Any]:
    from corpusmill.privacy.secure import dedup

    settings = job.dedup or Dedup()
    if node.role(node.name) == "aggregator":
        return {"dropped": dedup.as_aggregator(node, settings)}
    documents = dedup.prepare((batch for _, batch in rows_of(files, ["id", "text"])), settings)
    drop = dedup.as_owner(node, documents, settings)
    path = output / f"{job.job}.drop.parquet"
    save_table(path, drop)
    return {"documents": len(documents.ids), "dropped": len(drop), "result": str(path)}


def _count(node: Node, job: Job, files: list[str], output: Path) -> dict[str, Any]:
    from corpusmill.privacy.secure import counts

    assert job.count is not None  # the job's own validation
    total, more = counts.joint(node, job.count, files)
    path = output / f"{job.job}.counts.parquet"
    save_table(path, counts.table(job.count, total))
    description: dict[str, Any] = {**more, "total": int(total.sum()), "result": str(path)}
    if job.kind == "mix":
        description["result"] = str(output / f"{job.job}.weights.json")
        weights = counts.weights(job.count, total)
        write_atomic(description["result"], (json.dumps(weights, indent=2, ensure_ascii=False) + "\n").encode())
    return description


def _score(node: Node, job: Job, files: list[str], output: Path) -> dict[str, Any]:
    from corpusmill.privacy.secure import scoring

    assert job.score is not None  # the job's own validation
    if node.role(node.name) == "aggregator":
        return scoring.as_model_owner(node, job.score, files)
    if node.name != job.parties.owners[0]:
        return {"documents": 0}
    scores, encryption = scoring.as_owner(node, job.score, files)
    path = output / f"{job.job}.scores.parquet"
    save_table(path, scores)
    return {**encryption, "result": str(path)}


def _train(node: Node, tune: Tune | None) -> dict[str, Any]:
    if node.role(node.name) == "aggregator":
        return rounds.as_aggregator(node) if node.job.kind == "finetune" else average.as_aggregator(node)
    if tune is None:
        raise RecipeError(
            f"an owner's part of a job `{node.job.kind}` needs a trainer; `corpusmill secure {node.job.kind}` gives one."
        )
    return tune(node)


_RUNS: dict[str, Any] = {"dedup": _dedup, "count": _count, "mix": _count, "score": _score}
