"""Malformed inputs through a whole run: each is a clear error that names the file and commits nothing, or quarantine that
adds up, or is no input at all; never a crash, a wait without end, or more than 1.5 GB of memory."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import snapshot_numbers
from tests.corpora import write_recipe
from tests.faults.faulty_files import forked
from tests.faults.living import folder
from tests.faults.serial import serially
from tests.transforms.sources.made import COMPRESS
from tests.transforms.sources.test_bad_input import FILES, LINES

GOOD = [{"text": f"a good document, number {i}"} for i in range(3)]
MEMORY = 1_500_000_000

Made = Callable[[Path], None]


def _bomb(suffix: str) -> Made:
    """100 MB of one letter in a line."""

    def make(at: Path) -> None:
        (at / f"bomb.jsonl{suffix}").write_bytes(COMPRESS[suffix](b'{"text": "' + b"a" * 100_000_000 + b'"}\n'))

    return make


def _dictionary(at: Path) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), ["v" * (1 << 20)])
    pq.write_table(pa.table({"text": coded}), at / "bomb.parquet", compression="zstd")


def _coded(at: Path) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), ["v" * (1 << 20)])
    with pa.ipc.new_file(str(at / "bomb.arrow"), pa.schema([("text", coded.type)])) as w:
        w.write_batch(pa.RecordBatch.from_arrays([coded], names=["text"]))


def _buffers(at: Path) -> None:
    schema = pa.schema([("text", pa.string())])
    with pa.ipc.new_stream(str(at / "bomb.arrows"), schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as w:
        w.write_batch(pa.RecordBatch.from_arrays([pa.array(["x" * (1 << 20)] * 150)], schema=schema))


def _nested_bomb(at: Path) -> None:
    inner = COMPRESS[".gz"](b'{"text": "' + b"a" * 50_000_000 + b'"}\n')
    (at / "bomb.jsonl.gz").write_bytes(COMPRESS[".gz"](inner))


def _socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.relpath(at / "socket.jsonl"))


BOMBS: dict[str, Made] = {
    "a line of 100 MB.gz": _bomb(".gz"),
    "a line of 100 MB.zst": _bomb(".zst"),
    "a line of 100 MB.bz2": _bomb(".bz2"),
    "a gzip in a gzip": _nested_bomb,
    "a dictionary of Parquet": _dictionary,
    "a dictionary of Arrow": _coded,
    "buffers of Arrow": _buffers,
}


def _ring(at: Path) -> None:
    (at / "a.jsonl").symlink_to("b.jsonl")
    (at / "b.jsonl").symlink_to("a.jsonl")


def _link(target: str) -> Made:
    return lambda at: (at / "a.jsonl").symlink_to(target)


def _named(name: bytes) -> Made:
    def make(at: Path) -> None:
        with open(os.path.join(os.fsencode(at), name), "w") as f:
            f.write('{"text": "named"}\n')

    return make


PLACES: dict[str, Made] = {
    "a link to nothing": _link("nowhere.jsonl"),
    "a link to itself": _link("a.jsonl"),
    "links in a ring": _ring,
    "a folder that holds itself": lambda at: (at / "loop").symlink_to(at),
    "a folder named as a file": lambda at: (at / "a.jsonl").mkdir(),
    "a pipe that nobody writes to": lambda at: os.mkfifo(at / "a.jsonl"),
    "a socket": _socket,
    "a link to a device": _link("/dev/zero"),
    "a link that leads out": _link("../../outside/secret.jsonl"),
    "a name that leads out": _named(b"..%2f..%2fa.jsonl"),
    "a name with a line end": _named(b"a\n.jsonl"),
    "a name that is not UTF-8": _named(b"\xff.jsonl"),
    "a hidden file": _named(b".hidden.jsonl"),
}


def _bytes(name: str, data: bytes) -> Made:
    def make(at: Path) -> None:
        (at / name).write_bytes(data)

    return make


CASES: dict[str, Made] = {
    **{
        f"line: {name}": _bytes("bad.jsonl", b'{"text": "a good line"}\n' + line + b"\n")
        for name, (line, _) in LINES.items()
    },
    **{f"file: {name}": _bytes(name, data) for name, data in FILES.items()},
    **{f"bomb: {name}": make for name, make in BOMBS.items()},
    **{f"place: {name}": make for name, make in PLACES.items()},
}


def peak() -> int:
    """Most memory that this program has held, in bytes."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM"))


def meet(case: str, base: Path) -> str:
    """Run a corpus with one malformed input; what came of it."""
    raw = base / "raw"
    raw.mkdir(parents=True)
    (base.parent / "outside").mkdir(exist_ok=True)
    (raw / "good.jsonl").write_text("".join(json.dumps(d) + "\n" for d in GOOD))
    CASES[case](raw)
    source = {"name": "raw", "path": "raw", "max_bad_fraction": 1.0, "max_document_bytes": 4000}
    outcomes = []
    for on_bad_file in ("error", "skip"):
        out = f"out-{on_bad_file}"
        sources = [{**source, "on_bad_file": on_bad_file}]
        recipe = write_recipe(base, [{"exact": {}}], sources=sources, output={"path": out})
        try:
            result = run(load(recipe), workers=1)
        except CorpusmillError as error:
            said = str(error)
            clear = str(raw) in said and "To go on" in said and "Traceback" not in said and len(said) < 2000
            committed = snapshot_numbers(str(base / out))
            outcomes.append("error" if clear and not committed else f"{type(error).__name__}: {said}")
            continue
        dataset = Dataset(base / out)
        assert dataset.verify() == []
        funnel = result.funnel
        lost = sum(n for s in funnel["steps"] for n in s["dropped"].values())
        assert funnel["rows_in"] == funnel["quarantined"] + lost + funnel["rows_out"]
        assert funnel["rows_out"] >= len(GOOD)
        told = sum(f["rows"] for f in dataset.manifest()["tables"].get("quarantine", []))
        assert told == funnel["quarantined"]
        outcomes.append("quarantine" if told else "read")
    return ", then ".join(outcomes)


@pytest.mark.slow
def test_malformed_inputs():
    assert len(CASES) >= 60
    with folder(in_memory=False) as base, serially():
        said = base / "said.jsonl"

        def all_of_them() -> None:
            with open(said, "a") as f:
                for number, case in enumerate(CASES):
                    try:
                        outcome = meet(case, base / str(number))
                    except BaseException as error:
                        outcome = f"{type(error).__name__}: {error}"
                    f.write(json.dumps([case, outcome, peak()]) + "\n")
                    f.flush()

        status = forked(all_of_them)
        met = [json.loads(line) for line in said.read_text().splitlines()]
        assert [case for case, _, _ in met] == list(CASES), "one ended the process"
        assert status == 0
        allowed = {
            "line": {"quarantine, then quarantine"},
            "file": {"error, then quarantine"},
            "bomb": {"error, then quarantine", "quarantine, then quarantine"},
            "place": {"read, then read", "error, then quarantine"},
        }
        wrong = [(case, outcome) for case, outcome, _ in met if outcome not in allowed[case.partition(":")[0]]]
        assert not wrong, "\n".join(f"{c}: {o:.400}" for c, o in wrong)
        assert max(memory for _, _, memory in met) < MEMORY, [(c, m) for c, _, m in met if m > MEMORY][:3]
