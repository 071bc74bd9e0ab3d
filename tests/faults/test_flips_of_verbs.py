"""One bit flips in a file that export, train, selftrain, tokenizer, scorer or the privacy verbs wrote; then somebody uses it.

Never silent: what comes of it is what comes of sound files, or an error names a file; no error is a defect. `make faults` flips
240 bits, `make test` 24.
"""

import json
import random
import shutil
from pathlib import Path

import pytest

from corpusmill.training.serving.linear import open_linear
from corpusmill.transforms.errors import CorpusmillError
from tests.command import invoke
from tests.faults.living import folder, one_salt
from tests.faults.serial import LONG, serially
from tests.faults.verbs import VERBS, digest

FLIPS = 30 if LONG else 4
SCORER = ("scorer", "eval", "--json")
USES = {
    "export": lambda b: ["verify", b / "shards"],
    "train": lambda b: ["train", b / "train.yaml", "--set", "steps=3", "--set", "allow_other_settings=true"],
    "selftrain": lambda b: ["selftrain", b / "selftrain.yaml"],
    "tokenizer": lambda b: ["run", b / "packed.yaml", "--workers", 1],
    "scorer": lambda b: [*SCORER, b / "s.safetensors", "--like", b / "like.jsonl", "--unlike", b / "unlike.jsonl"],
    "budget": lambda b: ["privacy", "status", b / "out", "--json"],
    "statistics": lambda b: ["privacy", "statement", b / "out"],
}  # fmt: skip
"""Who reads the files that a verb wrote."""
HARMLESS = ("metrics.jsonl", ".lock", "events.out", "report.html", "history.jsonl")
"""What nobody reads but people, line by line."""


def outcome(name: str, base: Path) -> str:
    """What comes of the use: its output and what it made, or the error that it ended with."""
    done = invoke(*USES[name](base))
    if done.exit_code not in (0, 3):
        return f"error: {done.output}"
    if name == "train":
        return digest(base / "run" / "checkpoints" / "step-00000003" / "model.safetensors")
    if name == "tokenizer":
        from corpusmill.pipelines.dataset.snapshot import Dataset

        return str(Dataset(base / "ids").manifest()["content"])
    if name == "selftrain":  # and somebody opens the model
        report = json.loads((base / "student" / "report.json").read_text())
        try:
            open_linear(report["model"])
        except CorpusmillError as error:
            return f"error: {error}"
        return json.dumps(report, sort_keys=True).replace(str(base), "BASE")
    return done.stdout.replace(str(base), "BASE")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(USES))
def test_no_flipped_bit_in_what_a_verb_wrote_is_silent(name):
    if name in ("train", "selftrain"):
        pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    verb = next(v for v in VERBS if v.name == name)
    rng = random.Random(11)
    wrong = []
    with folder() as home, serially(), one_salt():
        base = home / "now"
        base.mkdir()
        verb.world(base)
        text = (base / "recipe.yaml").read_text() if (base / "recipe.yaml").exists() else ""
        before = {p for p in base.rglob("*") if p.is_file()}
        assert invoke(*verb.arguments(base)).exit_code == 0
        (base / "packed.yaml").write_text(
            text[: text.find("steps:")]
            + "steps: [{pack: {tokenizer: t.json, length: 32}}]\noutput: {path: ids, format: arrow}\n"
        )
        files = sorted(
            p for p in base.rglob("*")
            if p.is_file() and p not in before and p.stat().st_size and not p.name.startswith(HARMLESS) and p.name != "packed.yaml"
        )  # fmt: skip
        assert files
        shutil.copytree(base, home / "sound", copy_function=shutil.copy2)
        expected = outcome(name, base)
        assert not expected.startswith("error"), expected
        for k in range(FLIPS):
            shutil.rmtree(base)
            shutil.copytree(home / "sound", base, copy_function=shutil.copy2)
            path = files[k % len(files)] if k < len(files) else rng.choice(files)
            data = bytearray(path.read_bytes())
            bit = rng.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            told = outcome(name, base)
            where = f"{path.relative_to(base)}, bit {bit}"
            if told.startswith("error"):
                if "defect" in told or str(base) not in told:
                    wrong.append(f"{where}: told badly: {told[:600]}")
            elif told != expected:
                wrong.append(f"{where}: silent: {told[:300]} instead of {expected[:300]}")
    assert not wrong, "\n".join(wrong)
