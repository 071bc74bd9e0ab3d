import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.secure import counts
from corpusmill.privacy.secure.run import run
from corpusmill.privacy.secure.settings import Count, Dimension, Job, load_job, load_party
from corpusmill.privacy.secure.store import Store
from corpusmill.transforms.errors import RecipeError, SourceError
from tests.privacy.secure.parties import OWNERS, Parties, Threads

pytest.importorskip("cryptography", reason="secure sums need cryptography")

BY = [{"column": "lang", "values": ["en", "zh"]}, {"column": "length", "bounds": [3, 6]}]


def owners(tmp_path):
    rows = {
        "north": [("en", "ab"), ("en", "abcdef"), ("zh", "数据")],
        "south": [("en", "x"), ("de", "abc"), (None, "")],
        "east": [("zh", "数"), ("zh", "数据集"), ("en", None)],
    }
    files = {}
    for o, found in rows.items():
        files[o] = [tmp_path / f"{o}.parquet"]
        lang, text = [r[0] for r in found], [r[1] for r in found]
        pq.write_table(
            pa.table({"lang": pa.array(lang).dictionary_encode(), "text": pa.array(text, pa.string())}), files[o][0]
        )
    return files


@pytest.mark.parametrize("unit", ["documents", "bytes"])
def test_the_joint_table_is_that_of_all_documents(tmp_path, unit):
    files = owners(tmp_path)
    parties = Threads(tmp_path / "p", {"job": "c", "kind": "count", "count": {"by": BY, "unit": unit}})
    s = parties.job.count
    found = parties.run(
        {n: lambda node: counts.joint(node, s, list(map(str, files.get(node.name, [])))) for n in (*OWNERS, "hub")}
    )
    pooled = counts.histogram([str(f[0]) for f in files.values()], s)
    for total, told in found.values():
        assert total.tolist() == pooled.tolist()
        assert told["owners"] == list(OWNERS)
    cells = {(r["lang"], r["length"]): r["count"] for r in counts.table(s, pooled).to_pylist()}
    if unit == "documents":
        assert cells == {
            ("en", "< 3"): 3,
            ("en", ">= 6"): 1,
            ("zh", "3 .. 6"): 1,
            ("zh", ">= 6"): 2,
            (counts.OTHER, "< 3"): 1,
            (counts.OTHER, "3 .. 6"): 1,
        }
    else:
        assert sum(cells.values()) == 2 + 6 + 6 + 1 + 3 + 3 + 9


def test_weights_are_tempered_shares():
    s = Count(by=(Dimension(column="lang", values=("en", "zh")),), temperature=2.0)
    weights = counts.weights(s, np.array([10_000, 100, 0]))
    assert [w["share"] for w in weights] == pytest.approx([100 / 101, 1 / 101])
    assert [w["weight"] for w in weights] == pytest.approx([10 / 11, 1 / 11])


def test_rows_without_a_number_are_told(tmp_path):
    for none in (None, math.nan):
        pq.write_table(pa.table({"q": pa.array([1.0, none], from_pandas=False)}), tmp_path / "a.parquet")
        with pytest.raises(SourceError, match="without a number"):
            counts.histogram([str(tmp_path / "a.parquet")], Count(by=(Dimension(column="q", bounds=(0.5,)),)))


def test_four_processes_of_the_command_line_mix(tmp_path):
    import subprocess
    import sys

    files = owners(tmp_path)
    parties = Parties(tmp_path / "p", {"job": "m", "kind": "mix", "count": {"by": BY[:1], "temperature": 2.0}})
    running = []
    for name in parties.names:
        path = parties.folder / f"{name}.yaml"
        jobs = "jobs: [job.yaml]\n" + (f"data: {files[name][0]}\n" if name in files else "")
        path.write_text(path.read_text() + jobs)
        verb = ["party"] if name == "hub" else ["secure", "mix", str(parties.folder / "job.yaml")]
        argv = [sys.executable, "-m", "corpusmill.pipelines.cli", *verb, "--config", str(path), "--json"]
        running.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for process, name in zip(running, parties.names, strict=True):
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, err
        report = json.loads(out)
        report = report[0] if name == "hub" else report
        weights = json.loads(Path(report["result"]).read_text())
        assert {w["lang"]: w["count"] for w in weights} == {"en": 4, "zh": 3, counts.OTHER: 2}
        assert sum(w["weight"] for w in weights) == pytest.approx(1)
    state = parties.folder / "state-north" / "m"
    assert not (state / "inbox").exists()
    # the result is one party's: another one that is led to the same folders is refused by name
    job, north = (load(parties.folder / f"{n}.yaml") for load, n in ((load_job, "job"), (load_party, "north")))
    with pytest.raises(RecipeError, match="is what north has of the job m, and these settings name south"):
        run(job, north.model_copy(update={"name": "south"}), [])
    # the same name with another job file is refused, before and after it is finished
    changed = Threads(tmp_path / "q", {"job": "m", "kind": "mix", "count": {"by": BY, "temperature": 2.0}})
    for given in (parties.folder / "state-north", tmp_path / "begun"):
        if given.name == "begun":
            store = Store(given / "m")
            (given / "m" / "session").write_text("0" * 32)
            store.close()
        with pytest.raises(RecipeError, match="another job file"):
            run(changed.job, changed.party("north").model_copy(update={"state": str(given)}), [])


@pytest.mark.parametrize(
    ("owners", "threshold", "least"), [(2, 0, 2), (3, 0, 3), (3, 2, 2), (4, 0, 3), (7, 0, 4), (3, 3, 3)]
)
def test_exact_counts_need_three_owners_by_default(owners, threshold, least):
    """With two of three in it, who dropped out could be told from the sum, and each of the two has the other's histogram."""
    names = tuple("abcdefg"[:owners])
    parties = {"owners": names, "aggregator": "hub", "threshold": threshold}
    by = ({"column": "lang", "values": ("en",)},)
    for kind in ("count", "mix"):
        assert Job.model_validate({"job": "j", "kind": kind, "parties": parties, "count": {"by": by}}).least == least
    dedup = Job.model_validate({"job": "j", "kind": "dedup", "parties": parties})
    assert dedup.least == dedup.parties.least
