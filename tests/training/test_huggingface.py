"""Export with equal logits, and Hugging Face models in our loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from corpusmill.training import build, checkpoint, commands
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.finetune.soft_prompt import SoftPrompt
from corpusmill.training.huggingface import Adapter
from corpusmill.training.loop import train
from corpusmill.training.model import Transformer
from corpusmill.training.serving.export import ours
from corpusmill.training.serving.generate import generate
from corpusmill.training.settings import ModelSettings
from corpusmill.transforms.errors import DatasetError, RecipeError

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("tie", [False, True])
def test_equal_logits(tmp_path: Path, tie: bool) -> None:
    config = ModelSettings(
        layers=2, width=32, heads=4, vocabulary=60, tie=tie, rope_base=500.0, norm_eps=1e-6, max_length=64
    )
    model = Transformer(config, seed=3).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    ours(model, tmp_path / "llama")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "llama").eval()
    assert type(theirs).__name__ == "LlamaForCausalLM"
    ids = torch.randint(0, 60, (3, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-5, rtol=1e-5)
        # packed rows through the adapter see their own document only, too
        segments = torch.tensor([[1] * 15 + [2] * 20 + [0] * 5]).expand(3, -1)
        positions = torch.cat([torch.arange(15), torch.arange(20), torch.zeros(5, dtype=torch.long)]).expand(3, -1)
        a, b = Adapter(theirs)(ids, segments, positions), model(ids, segments, positions)
    torch.testing.assert_close(a[:, :35], b[:, :35], atol=1e-5, rtol=1e-5)


def test_a_trained_run_is_exported_with_its_tokenizer(make, tmp_path: Path) -> None:
    settings = make(steps=3)
    train(settings)
    folder = commands.export(settings.output, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("the red fox 数据", return_tensors="pt")["input_ids"]
    loaded = build.load(settings.output)
    assert ids[0].tolist() == loaded.vocabulary.encode(["the red fox 数据"])[0].tolist()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, loaded.model(ids), atol=1e-5, rtol=1e-5)
    assert theirs.generation_config.eos_token_id == loaded.vocabulary.end


def test_only_decoders(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="only a decoder"):
        ours(Transformer(ModelSettings(kind="encoder", layers=1, width=8, heads=2, vocabulary=9)), tmp_path)
    decoder = Transformer(ModelSettings(layers=1, width=8, heads=2, vocabulary=9))
    for other in (SoftPrompt(decoder, 2), Adapter(nn.Linear(1, 1)), Classifier(decoder, 2)):
        with pytest.raises(RecipeError, match=f"is a {type(other).__name__}"):
            ours(other, tmp_path)


def test_a_folder_that_is_not_there_or_holds_no_such_model_is_told(make, tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):  # and no hub is asked
        train(make(tune__base=f"hf:{tmp_path}/none", data__tokenizer=str(tokenizer)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="cannot be loaded for causal"):
        train(make(tune__base=f"hf:{tmp_path}/empty"))
    base = _folder(tmp_path / "bert", "bert", tokenizer)
    with pytest.raises(DatasetError, match=r"is an encoder \(BertLMHeadModel\)"):  # and would learn to copy
        train(make(tune__base=f"hf:{base}"))
    base = _folder(tmp_path / "t5", "t5", tokenizer)
    with pytest.raises(
        DatasetError, match=r"cannot be loaded for causal \(Unrecognized configuration class.{0,250}\)\."
    ):
        train(make(tune__base=f"hf:{base}"))


@pytest.mark.parametrize(("kind", "method"), [("bert", "lora"), ("llama", "full"), ("llama", "lora")])
def test_a_new_head_trains_and_is_kept(make, tmp_path: Path, tokenizer: Path, kind: str, method: str) -> None:
    """The head is drawn by the seed, trains beside adapters, and lies in the checkpoint: evaluated anew, the same figures.
    A causal model reads the class at the end of a document, however far its row is padded."""
    words = ("red", "blue", "seven rain over the hill")
    lines = [json.dumps({"text": f"the {w}", "label": w[:3]}) for w in words]
    file = tmp_path / "labelled.jsonl"
    file.write_text("\n".join(lines))
    values: dict = {"tune__method": method, "tune__targets": ["q_proj", "query"], "data__length": 16, "steps": 3}
    values |= {"tune__base": f"hf:{_folder(tmp_path / kind, kind, tokenizer)}", "objective__name": "classification"}
    settings = make(data__train=str(file), data__validation=str(file), **values)
    measured = train(settings)["validation"]
    assert commands.evaluate(settings.output)["loss"] == measured["loss"]
    assert train(settings.model_copy(update={"output": str(tmp_path / "again")}))["validation"] == measured
    saved = checkpoint.read_tensors(checkpoint.find(settings.output) / "model.safetensors")
    head = {"bert": "model.classifier.weight", "llama": "model.score.weight"}[kind]
    assert head in saved
    model = build.load(settings.output).model
    ids, padded = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 6, 7, 0, 0]])
    with torch.no_grad():
        alone, among = model(ids), model(padded, (padded != 0).long())
    torch.testing.assert_close(alone, among)


def _folder(path: Path, kind: str, tokenizer: Path) -> Path:
    size = {
        "vocab_size": 420,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    if kind == "bert":
        model = transformers.BertForMaskedLM(transformers.BertConfig(**size))
    elif kind == "t5":
        config = transformers.T5Config(vocab_size=420, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        model = transformers.T5ForConditionalGeneration(config)
    else:
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**size))
    model.save_pretrained(path)
    (path / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return path


@pytest.mark.parametrize(
    ("kind", "task", "method"),
    [
        ("llama", "causal", "full"),
        ("llama", "causal", "lora"),
        ("bert", "masked", "full"),
        ("t5", "text-to-text", "full"),
    ],
)
def test_hugging_face_models_train(make, tmp_path: Path, tokenizer: Path, kind: str, task: str, method: str) -> None:
    base = _folder(tmp_path / kind, kind, tokenizer)
    values: dict = {"tune__base": f"hf:{base}", "tune__method": method, "tune__targets": ["q_proj", "v_proj"]}
    if task == "text-to-text":
        lines = [json.dumps({"text": f"the {w}", "target": f"{w} hill"}) for w in ("red", "blue", "seven")]
        (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
        values["data__train"] = str(tmp_path / "pairs.jsonl")
    settings = make(objective__name=task, steps=12, **values)
    result = train(settings)
    from corpusmill.training.loop import read_metrics

    losses = [line["loss"] for line in read_metrics(settings.output)]
    assert losses[-1] < losses[0]
    assert result["step"] == 12
    again = build.load(settings.output)
    assert isinstance(again.model, Adapter)
    if task != "masked":
        together = commands.generate(settings.output, ["the red fox", "a"], max_tokens=5)
        assert together == [commands.generate(settings.output, [p], max_tokens=5)[0] for p in ("the red fox", "a")]
    else:
        with pytest.raises(RecipeError, match="write text"):
            commands.generate(settings.output, ["a"], max_tokens=5)
    if method == "lora":
        saved = checkpoint.read_tensors(checkpoint.newest(settings.output) / "model.safetensors")
        assert all(".up." in name or ".down." in name for name in saved)


@pytest.mark.parametrize("kind", ["Roberta", "MPNet", "Esm", "Bert", "OPT"])
def test_texts_are_numbered_as_the_model_numbers_them(kind: str) -> None:
    """RoBERTa's family counts positions from behind that of padding; packed rows and padded rows must too."""
    torch.manual_seed(3)
    size = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 1}
    size |= {"max_position_embeddings": 32, "ffn_dim" if kind == "OPT" else "intermediate_size": 32}
    size |= {"word_embed_proj_dim": 16} if kind == "OPT" else {}
    name = "OPTForCausalLM" if kind == "OPT" else f"{kind}ForMaskedLM"
    model = getattr(transformers, name)(getattr(transformers, f"{kind}Config")(**size)).eval()
    for named, p in model.named_parameters():
        if "position" in named:
            nn.init.normal_(p)
    adapter = Adapter(model)
    ids = torch.randint(2, 40, (2, 12), generator=torch.Generator().manual_seed(1))
    padded, packed = torch.tensor([[1] * 7 + [0] * 5] * 2), torch.tensor([[1] * 7 + [2] * 5] * 2)
    places = torch.tensor([[*range(7), *range(5)]] * 2)
    with torch.no_grad():
        alone = [model(input_ids=part).logits for part in (ids[:, :7], ids[:, 7:])]
        torch.testing.assert_close(adapter(ids, padded, places * padded)[:, :7], alone[0], rtol=1e-4, atol=1e-5)
        if kind != "Esm":  # it takes no mask of its documents, and refuses such rows
            torch.testing.assert_close(adapter(ids, packed, places), torch.cat(alone, dim=1), rtol=1e-3, atol=1e-4)


def test_a_causal_model_of_robertas_family_writes_what_it_writes_alone() -> None:
    torch.manual_seed(3)
    config = transformers.RobertaConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, is_decoder=True
    )
    model = transformers.RobertaForCausalLM(config).eval()
    nn.init.normal_(model.roberta.embeddings.position_embeddings.weight)
    text = torch.tensor([[5, 6, 7, 8]])
    found = generate(Adapter(model), [text[0].numpy()], max_tokens=4, ends=[39])
    with torch.no_grad():
        for _ in range(4):  # the model reads the whole text anew for each token
            text = torch.cat((text, model(text).logits[:, -1:].argmax(-1)), dim=1)
    assert found[0].tolist() == text[0, 4:].tolist()
