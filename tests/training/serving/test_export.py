"""Tuned Hugging Face models as files: `transformers` and `peft` load them with equal logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from corpusmill.training import build, commands
from corpusmill.training.loop import train
from corpusmill.transforms.errors import RecipeError
from tests.training import zoo

transformers = pytest.importorskip("transformers")
CLASSES = {
    "classification": "AutoModelForSequenceClassification",
    "text-to-text": "AutoModelForSeq2SeqLM",
    "instruction": "AutoModelForCausalLM",
}


def tuned(make, tmp_path: Path, kind: str, task: str, method: str):
    base = zoo.write(tmp_path / kind, kind)
    columns = {
        "classification": ("text", "label"),
        "text-to-text": ("text", "target"),
        "instruction": ("instruction", "output"),
    }
    rows = [dict(zip(columns[task], (f"the {w} fox runs", f"a {w}"))) for w in ("red", "blue")]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"tune__base": f"hf:{base}", "tune__method": method, "data__train": str(file), "data__tokenizer": None}
    settings = make(objective__name=task, steps=3, optimizer__lr=0.05, schedule__warmup=0, data__length=24, **values)
    train(settings)
    return base, settings


@pytest.mark.parametrize(
    ("kind", "task", "method"),
    [
        ("llama3", "instruction", "full"),
        ("gpt2", "instruction", "lora"),
        ("bert", "classification", "lora"),
        ("bert", "classification", "full"),
        ("t5", "text-to-text", "lora"),
    ],
)
def test_a_tuned_model_comes_out_whole(make, tmp_path: Path, kind: str, task: str, method: str) -> None:
    base, settings = tuned(make, tmp_path, kind, task, method)
    loaded = build.load(settings.output)
    folder = commands.export(settings.output, tmp_path / "out")
    theirs = getattr(transformers, CLASSES[task]).from_pretrained(folder).eval()
    ids = torch.tensor([[7, 8, 9, 10, 11]])
    more = {"decoder_input_ids": ids[:, :3]} if task == "text-to-text" else {}
    with torch.no_grad():
        own = loaded.model.model(input_ids=ids, **more).logits
        torch.testing.assert_close(theirs(input_ids=ids, **more).logits, own, atol=1e-5, rtol=1e-5)
        before = getattr(transformers, CLASSES[task]).from_pretrained(base, num_labels=2).eval()
        if task != "classification":  # its head is new
            assert not torch.allclose(before(input_ids=ids, **more).logits, own, atol=1e-3)
    text = transformers.AutoTokenizer.from_pretrained(folder)
    assert (
        text("the red fox")["input_ids"] == transformers.AutoTokenizer.from_pretrained(base)("the red fox")["input_ids"]
    )
    if task == "classification":
        assert theirs.config.id2label == {0: "a blue", 1: "a red"}


@pytest.mark.parametrize(
    ("kind", "task"), [("llama3", "instruction"), ("gpt2", "instruction"), ("bert", "classification")]
)
def test_peft_loads_the_adapters(make, tmp_path: Path, kind: str, task: str) -> None:
    peft = pytest.importorskip("peft")
    base, settings = tuned(make, tmp_path, kind, task, "lora")
    loaded = build.load(settings.output)
    folder = commands.export(settings.output, tmp_path / "out", adapters=True)
    assert not (folder / "model.safetensors").exists()
    plain = getattr(transformers, CLASSES[task]).from_pretrained(base)
    theirs = peft.PeftModel.from_pretrained(plain, folder).eval()
    ids = torch.tensor([[7, 8, 9, 10, 11]])
    with torch.no_grad():
        own = loaded.model.model(input_ids=ids).logits
        torch.testing.assert_close(theirs(input_ids=ids).logits, own, atol=1e-5, rtol=1e-5)


def test_adapters_of_other_runs_are_refused(make, tmp_path: Path) -> None:
    settings = make(steps=1)
    train(settings)
    with pytest.raises(RecipeError, match="has no adapters for peft"):
        commands.export(settings.output, tmp_path / "out", adapters=True)
