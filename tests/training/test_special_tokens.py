"""The special tokens of Hugging Face models, with `transformers` as the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.training import build, commands, special_tokens
from corpusmill.training.finetune.documents import Documents
from corpusmill.training.loop import train
from corpusmill.training.special_tokens import SpecialTokens
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError
from tests.training import zoo

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory):
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = zoo.write(tmp_path_factory.mktemp("zoo") / kind, kind)
        return made[kind]

    return get


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("llama3", SpecialTokens(2, (2, 1), 0, (0,), ())),
        ("qwen2", SpecialTokens(2, (2,), 2)),
        ("gpt2", SpecialTokens(0, (0,), 0)),
        ("t5", SpecialTokens(1, (1,), 0, (), (1,))),
        ("bart", SpecialTokens(2, (2,), 2, (0,), (2,))),
    ],
)
def test_they_are_those_of_the_model(models, kind: str, wanted: SpecialTokens) -> None:
    assert special_tokens.read(models(kind)) == wanted
    assert SpecialTokens.of_state({"special_tokens": json.loads(json.dumps(wanted.dump()))}) == wanted


@pytest.mark.parametrize("kind", ["llama3", "qwen2", "gpt2", "bert", "t5", "bart"])
def test_texts_are_read_as_transformers_reads_them(models, kind: str) -> None:
    folder = models(kind)
    vocabulary = Vocabulary(folder / "tokenizer.json", special_tokens.read(folder))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in ("the red fox", "数据 很 好", ""):
        assert vocabulary.read([text])[0].tolist() == theirs(text)["input_ids"]


def lines(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [{"text": f"the {w} fox runs", "target": f"a {w} hill"} for w in ("red", "blue", "seven", "rain")]
    return lines(tmp_path / "pairs.jsonl", rows)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_an_encoder_decoder_learns_and_writes_as_in_transformers(make, models, pairs, tmp_path, kind: str) -> None:
    values = {"data__train": pairs, "data__length": 24, "data__tokenizer": None, "steps": 2}
    settings = make(tune__base=f"hf:{models(kind)}", objective__name="text-to-text", **values)
    train(settings)
    loaded = build.load(settings.output)
    resolved = build.resolve(loaded.settings, loaded.vocabulary, 0)
    data = Documents(pairs, resolved, loaded.vocabulary)
    batch = build.objective_of(resolved, loaded.vocabulary).prepare(data.rows(np.arange(4)), np.zeros(4, np.uint64))
    theirs = transformers.AutoTokenizer.from_pretrained(models(kind))
    model = loaded.model.model
    for i, (text, target) in enumerate([("the red fox runs", "a red hill"), ("the blue fox runs", "a blue hill")]):
        wanted = theirs(target)["input_ids"]
        assert batch["labels"][i][: len(wanted)].tolist() == wanted
        read = theirs(text)["input_ids"]
        assert batch["input_ids"][i][: len(read)].tolist() == read
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([read]), labels=torch.tensor([wanted])).loss
        logits = loaded.model(**{n: torch.from_numpy(c[i : i + 1]) for n, c in batch.items() if n != "labels"})
        labels = torch.from_numpy(batch["labels"][i])
        ours = torch.nn.functional.cross_entropy(logits[0], labels, ignore_index=-100)
        torch.testing.assert_close(ours, alone, atol=1e-5, rtol=1e-5)
    prompts = ["the red fox runs", "seven"]
    for prompt, text in zip(prompts, commands.generate(settings.output, prompts, max_tokens=7, temperature=0.0)):
        wanted = model.generate(**theirs(prompt, return_tensors="pt"), max_new_tokens=7, do_sample=False, num_beams=1)
        ids = [i for i in wanted[0].tolist()[1:] if i not in loaded.vocabulary.tokenizer.special.values()]
        assert text == loaded.vocabulary.decode(ids)


@pytest.mark.parametrize("kind", ["llama3", "qwen2", "gpt2"])
def test_an_answer_ends_as_the_model_ends_it(make, models, tmp_path, kind: str) -> None:
    file = lines(tmp_path / "a.jsonl", [{"instruction": "the red", "output": "fox runs"}])
    values = {"data__train": file, "data__length": 24, "data__tokenizer": None, "steps": 1}
    settings = make(tune__base=f"hf:{models(kind)}", objective__name="instruction", **values)
    train(settings)
    loaded = build.load(settings.output)
    row = Documents(file, loaded.settings, loaded.vocabulary).columns
    theirs = transformers.AutoTokenizer.from_pretrained(models(kind))
    assert row["input_ids"][0][-1] == theirs.eos_token_id
    assert row["loss_mask"][0][-1] == 1
    first = [theirs.bos_token_id] if kind == "llama3" else []
    assert row["input_ids"][0][: len(first) + 1].tolist() == [*first, *loaded.vocabulary.encode(["the red"])[0][:1]]


def test_a_model_without_an_end_token_is_refused(make, models, pairs, tmp_path) -> None:
    folder = zoo.write(tmp_path / "none", "llama3")
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        values = json.loads((folder / name).read_text())
        for key in ("eos_token", "eos_token_id"):
            values.pop(key, None)
        values |= {"eos_token_id": None} if name == "config.json" else {}
        (folder / name).write_text(json.dumps(values))
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("<|end", "<|stop"))
    rows = [{"instruction": "the red", "output": "fox"}]
    file = lines(tmp_path / "b.jsonl", rows)
    with pytest.raises(DatasetError, match="names no end token"):
        train(make(tune__base=f"hf:{folder}", objective__name="instruction", data__train=file, data__tokenizer=None))


@pytest.mark.parametrize("kind", ["llama3", "mistral", "gemma3", "qwen2", "gpt2", "bert"])
def test_packed_documents_have_the_logits_that_they_have_alone(models, kind: str) -> None:
    """Also where layers see a window of tokens: it must stay, and end at the document."""
    from corpusmill.training.huggingface import load

    model = load(str(models(kind)), "masked" if kind == "bert" else "causal").eval()
    assert model.packs
    sizes, rng = [14, 9, 17], np.random.default_rng(0)
    ids = torch.tensor(rng.integers(6, 200, (2, 44)))
    segments = torch.tensor(np.repeat([1, 2, 3, 0], [*sizes, 4]))[None].expand(2, -1)
    positions = torch.cat([torch.arange(n) for n in (*sizes, 4)])[None].expand(2, -1)
    with torch.no_grad():
        row, start = model(ids, segments, positions), 0
        for size in sizes:
            alone = model.model(input_ids=ids[:, start : start + size]).logits
            torch.testing.assert_close(row[:, start : start + size], alone, atol=2e-5, rtol=2e-5)
            start += size
