"""What joint computations cost: CPU of all parties, bytes sent, rounds; and whether their results are the plain ones.

    python -m tests.benchmarks.secure [--data ../shared/data] [--elements 10000 100000] [--whole] [names...]

Names: `intersection`, `sum`, `encrypted`, `average`, `score`, `dedup`, `finetune`. Parties are threads of this process over TLS on
loopback, so that CPU seconds are those of all parties; `dedup` runs four processes on neardup/docs split in three (all of it with
--whole, two CPU minutes each; else 1,500 documents); `finetune` is `secure_finetune.py`. Goals: intersection under 300 us of CPU
an element, a sum of 100,000 counters under 0.5 s, scoring under 0.1 ms a document.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.privacy.secure.parties import OWNERS, Parties, Threads

COUNT = {"by": [{"column": "lang", "values": ["en"]}]}


def cost(setup: Parties, work: Callable[[], Any]) -> tuple[Any, str]:
    """What `work` returns, and its CPU, wall time, messages and bytes."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    sent = [r for name in setup.names if name in setup.names and _has(setup, name) for r in setup.transcript(name)]
    kinds = len({(r["kind"], r["part"] >> 24) for r in sent})
    return found, f"{cpu:.2f} s | {wall:.2f} s | {sum(r['bytes'] for r in sent) / 1e6:.2f} MB | {kinds}"


def _has(setup: Parties, name: str) -> bool:
    return (setup.folder / f"state-{name}" / setup.job["job"] / "transcript.jsonl").exists()


def intersection(scratch: Path, elements: int) -> str:
    """Three equal sets that overlap by half."""
    from corpusmill.privacy.secure.intersection import match, receive_tags, send_elements

    rng = np.random.default_rng(0)
    pool = rng.integers(0, 2**63, (elements, 2)).astype(np.uint64)
    each = elements // 3
    sets = {o: pool[i * each // 2 : i * each // 2 + each] for i, o in enumerate(OWNERS)}
    parties = Threads(scratch, {"job": "i", "kind": "dedup"}, timeout=3600)
    parts = {o: lambda node, o=o: send_elements(node, sets[o]) for o in OWNERS}
    cpu = time.process_time()
    found, told = cost(parties.setup, lambda: parties.run({**parts, "hub": receive_tags}))
    cpu = time.process_time() - cpu
    distinct = int(np.concatenate(match(found["hub"])).max()) + 1
    assert distinct == len(np.unique(np.concatenate(list(sets.values())), axis=0))
    return f"| intersection, 3 owners, {3 * each:,} elements: {cpu / (3 * each) * 1e6:.0f} us an element | {told} |"


def masked(scratch: Path, counters: int, lost: bool) -> str:
    """A sum of masked vectors."""
    from corpusmill.privacy.secure.aggregation import add_up, collect

    x = {o: np.random.default_rng(i).integers(0, 2**40, counters).astype(np.uint64) for i, o in enumerate(OWNERS)}
    parties = Threads(scratch, {"job": "s", "kind": "count", "count": COUNT}, timeout=60)
    parts = {o: lambda node, o=o: add_up(node, x[o], 0, 2.0 if lost else None) for o in OWNERS}
    parts["hub"] = lambda node: collect(node, counters, 0, 2.0 if lost else None)
    die = {"south": ("held", 1)} if lost else {}
    found, told = cost(parties.setup, lambda: parties.run(parts, die))
    total, alive = found["hub"]
    assert (total == sum(x[o] for o in alive)).all()
    return f"| masked sum, {counters:,} counters{', one owner lost (2 s of waiting)' if lost else ''} | {told} |"


def encrypted(scratch: Path, counters: int) -> str:
    """The same under BFV."""
    from corpusmill.privacy.secure import homomorphic as he

    x = {o: np.random.default_rng(i).integers(0, 2**40, counters) for i, o in enumerate(OWNERS)}
    job = {"job": "e", "kind": "count", "count": {**COUNT, "method": "encrypted"}, "parties": {"key_holder": "north"}}
    parties = Threads(scratch, job, timeout=120)
    parts: dict[str, Any] = {o: lambda node, o=o: he.add_up(node, x[o]) for o in OWNERS}
    parts["hub"] = lambda node: he.collect(node, counters)
    found, told = cost(parties.setup, lambda: parties.run(parts))
    assert (found["hub"][0] == sum(x.values())).all()
    budget = found["north"][2]["noise_budget_bits"]
    return f"| encrypted sum, {counters:,} counters, {budget} bits of noise budget left | {told} |"


def averaged(scratch: Path, parameters: int, method: str) -> str:
    """The weighted average of updates, from numbers to numbers: what models cost beside it is theirs."""
    from corpusmill.privacy.secure import average

    x = {o: np.random.default_rng(i).normal(0, 0.01, parameters) for i, o in enumerate(OWNERS)}
    weights = {"north": 3.0, "south": 1.0, "east": 2.0}
    keys = {"key_holder": "north"} if method == "encrypted" else {}
    job = {"job": "a", "kind": "average", "average": {"method": method, "weights": weights}}
    parties = Threads(scratch, {**job, "parties": {"threshold": 3, **keys}}, timeout=600)
    same, own = {"base": bytes(32)}, average.Statement()
    parts: dict[str, Any] = {o: lambda node, o=o: average.as_owner(node, x[o], same, own) for o in OWNERS}
    parts["hub"] = average.as_aggregator
    found, told = cost(parties.setup, lambda: parties.run(parts))
    plain = sum(x[o] * weights[o] for o in OWNERS) / sum(weights.values())
    off = max(np.abs(found[o].update - plain).max() for o in OWNERS)
    assert off <= found["north"].precision
    return f"| average, {parameters:,} parameters, {method}: largest error {off:.1e} | {told} |"


def score(degree: int, features: int = 384, n: int = 4096) -> str:
    """Scores of embeddings of length 1."""
    from corpusmill.privacy.secure import scoring
    from corpusmill.privacy.secure.homomorphic import checked, public_bytes

    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, features))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    more = {"factors": tuple(map(tuple, rng.normal(size=(1, features)))), "signs": (1.0,)} if degree == 2 else {}
    model = scoring.Model(bias=0.1, linear=tuple(rng.normal(size=features)), **more)
    private = scoring.ckks(degree)
    public = checked(public_bytes(private), "ckks", "north")
    bits, key = (
        scoring.weight_bits(model, scoring.Score(features=features, degree=degree)),
        scoring.conjugation_key(private),
    )
    begin = time.process_time()
    pieces = scoring.encrypt(private, x)
    sealed = time.process_time()
    scored = scoring.evaluate(public, pieces, model, bits, key)
    end = time.process_time()
    found, plain = scoring.decrypt(private, scored, n), model.plain(x)
    error, same = np.abs(found - plain).max(), int(((found > 0) == (plain > 0)).sum())
    return (
        f"| scores, degree {degree}, {features} features, {n:,} documents: encrypt {(sealed - begin) / n * 1e3:.2f} ms, score "
        f"{(end - sealed) / n * 1e3:.3f} ms a document, error {error:.1e}, {same:,} decisions equal | "
        f"{end - begin:.2f} s | | {(sum(map(len, pieces)) + len(scored)) / 1e6:.1f} MB | 2 |"
    )


def dedup(scratch: Path, data: Path, documents: int, confirm: bool) -> str:
    """neardup/docs split in three, four processes, against the pooled plain step."""
    from corpusmill.transforms.dedup.minhash import Minhash
    from tests.transforms.dedup import harness

    table = pa.concat_tables(
        [pq.read_table(p, columns=["id", "text", "source"]) for p in sorted((data / "neardup/docs").glob("*.parquet"))]
    )
    table = table.take(pa.array(np.random.default_rng(5).permutation(len(table))[:documents]))
    files, shards = {}, []
    scratch.mkdir(parents=True)
    for i, o in enumerate(OWNERS):
        part = table.take(pa.array(np.arange(i, len(table), 3)))
        files[o] = [scratch / f"{o}.parquet"]
        pq.write_table(part, files[o][0])
        ranked = part.append_column("priority", pa.array(np.full(len(part), -i)))
        shards.append(ranked.combine_chunks().to_batches())
    parties = Parties(scratch / "p", {"job": "d", "kind": "dedup", "dedup": {"confirm": confirm}}, timeout=3600)
    reports = parties.all(files, 3600)
    found = {i for o in OWNERS for i in pq.read_table(reports[o]["result"])["id"].to_pylist()}
    plain = set(harness.run(Minhash(verify=confirm, keep="priority"), shards).dropped)
    assert confirm or found == plain, f"{len(found ^ plain)} documents differ"
    cpu, sent = (sum(r[k] for r in reports.values()) for k in ("cpu_seconds", "seconds"))
    moved = sum(r["sent"]["bytes"] for r in reports.values())
    dropped = " / ".join(str(reports[o]["dropped"]) for o in OWNERS)
    return (
        f"| dedup, {len(table):,} documents{', confirmed' if confirm else ''}: {dropped} dropped, {len(found ^ plain)} of them "
        f"or of the pooled plain step's {len(plain):,} differ | {cpu:.1f} s | {sent / 4:.1f} s | {moved / 1e6:.1f} MB | 6 |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--elements", type=int, nargs="*", default=[10_000])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--seeds", type=int, default=6, help="of finetune")
    options = parser.parse_args()
    names = options.names or ["intersection", "sum", "encrypted", "average", "score", "dedup", "finetune"]
    print("| joint computation | CPU, all parties | wall | sent | rounds |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if "intersection" in names:
            for n in options.elements:
                print(intersection(scratch / f"i{n}", n), flush=True)
        if "sum" in names:
            for n, lost in ((10_000, False), (100_000, False), (100_000, True), (1_000_000, False)):
                print(masked(scratch / f"s{n}{lost}", n, lost), flush=True)
        if "encrypted" in names:
            for n in (10_000, 100_000, 1_000_000):
                print(encrypted(scratch / f"e{n}", n), flush=True)
        if "average" in names:
            for method in ("masks", "encrypted"):
                print(averaged(scratch / f"a{method}", 1_000_000, method), flush=True)
        if "score" in names:
            for degree, n in ((1, 4096), (2, 4096), (1, 8192), (2, 8192)):
                print(score(degree, n=n), flush=True)
        if "dedup" in names and (options.data / "neardup").is_dir():
            for confirm in (False, True):
                n = 1 << 30 if options.whole else 1_500
                print(dedup(scratch / f"d{confirm}", options.data, n, confirm), flush=True)
        if "finetune" in names and (options.data / "labelled").is_dir():
            from tests.benchmarks.secure_finetune import finetune

            print(
                "\n| private fine-tuning | noise | test loss | deviation | standard errors apart | accuracy | epsilon |"
            )
            print("|---|--:|--:|--:|--:|--:|--:|")
            for row in finetune(scratch / "f", options.data, options.seeds):
                print(row, flush=True)


if __name__ == "__main__":
    main()
