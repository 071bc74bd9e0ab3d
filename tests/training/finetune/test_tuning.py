"""Fine-tuning: each method learns, the base stays as it was to the bit, and what is saved is only what trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.training import build, checkpoint, commands
from corpusmill.training.finetune import lora, templates
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.finetune.soft_prompt import SoftPrompt
from corpusmill.training.loop import read_metrics, train
from corpusmill.training.model import Transformer
from corpusmill.training.settings import ModelSettings
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.random import Keyed
from tests.training.conftest import WORDS, sentences, tiny


def lines(path: Path, rows: list[dict]) -> str:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    return str(path)


def questions(count: int, seed: int) -> list[dict]:
    """Texts labelled by whether they begin with one of the first words."""
    return [{"text": t, "label": "low" if WORDS.index(t.split()[0]) < 8 else "high"} for t in sentences(count, seed)]


@pytest.fixture(scope="module")
def base(tmp_path_factory, shards: Path, tokenizer: Path) -> dict[str, Path]:
    """Small pretrained models, one of each kind."""
    out = {}
    for kind, objective in (("decoder", "causal"), ("encoder", "masked"), ("encoder-decoder", "span")):
        out[kind] = tmp_path_factory.mktemp(kind)
        shape = {"model__kind": kind, "model__layers": 1, "objective__name": objective}
        train(tiny(out[kind], shards, tokenizer, steps=60, batch__rows=8, **shape))
        seen = [line["loss"] for line in read_metrics(out[kind])]
        assert seen[-1] < seen[0] - 0.3, kind
    return out


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_classification(make, tmp_path: Path, base, kind: str) -> None:
    train_file, held = lines(tmp_path / "a.jsonl", questions(200, 3)), lines(tmp_path / "b.jsonl", questions(60, 4))
    settings = make(
        objective__name="classification",
        tune__base=str(base[kind]),
        data__train=train_file,
        data__validation=held,
        batch__rows=16,
        steps=80,
    )
    result = train(settings)
    assert result["validation"]["accuracy"] > 0.85
    assert "bits_per_byte" not in result["validation"]
    loaded = build.load(settings.output)
    assert loaded.classes == ["high", "low"]
    assert commands.evaluate(settings.output, held)["accuracy"] == result["validation"]["accuracy"]
    strange = lines(tmp_path / "c.jsonl", [{"text": "x", "label": "odd"}])
    with pytest.raises(DatasetError, match="labels odd are not among the 2"):
        commands.evaluate(settings.output, strange)


@pytest.mark.parametrize("method", ["lora", "soft-prompt"])
def test_the_base_is_unchanged_to_the_bit(make, tmp_path: Path, base, method: str) -> None:
    folder = checkpoint.find(base["decoder"])
    files = {f.name: f.read_bytes() for f in folder.iterdir()}
    rows = [{"instruction": f"say {w}", "input": "", "output": f"{w} {w}"} for w in WORDS]
    file = lines(tmp_path / "a.jsonl", rows)
    values = {
        "objective__name": "instruction",
        "data__train": file,
        "tune__base": str(base["decoder"]),
        "optimizer__lr": 0.03,
    }
    settings = make(
        tune__method=method, data__validation=file, evaluation__every=1000, steps=60, batch__rows=8, **values
    )
    result = train(settings)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == files
    zero_shot = build.load(base["decoder"])
    loaded = build.load(settings.output)
    inner = loaded.model.base if isinstance(loaded.model, SoftPrompt) else loaded.model
    for name, value in inner.state_dict().items():
        if name.startswith("prompt") or (name.split(".")[-2] in ("down", "up") and "feed" not in name):
            continue
        assert torch.equal(value, zero_shot.model.state_dict()[name.replace(".base.", ".")]), name
    saved = checkpoint.read_tensors(loaded.path / "model.safetensors")
    assert sum(t.numel() for t in saved.values()) < 0.2 * sum(p.numel() for p in zero_shot.model.parameters())
    held = build.rows_of(file, settings, zero_shot.vocabulary)
    from corpusmill.training.evaluate import measure
    from corpusmill.training.objectives import Causal
    from corpusmill.training.parallel import Parallel

    before = measure(zero_shot.model, Causal(), held, zero_shot.vocabulary, Parallel(settings.runtime), settings)
    assert result["validation"]["loss"] < before["loss"] - 0.3
    again = train(settings.model_copy(update={"steps": 62, "allow_other_settings": True}))  # adapters resume, too
    assert again["step"] == 62


def test_lora_starts_at_the_base_and_merges(base) -> None:
    model = build.load(base["decoder"]).model
    ids = torch.arange(12).view(2, 6)
    before = model(ids)
    lora.adapt(model, 4, 8.0, ("query", "value"), seed=1)
    assert torch.equal(model(ids), before)
    trained = build.trainable(model)
    assert {n.split(".")[-2] for n in trained} == {"up", "down"}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.normal_(0, 0.1)
    adapted = model(ids)
    assert not torch.allclose(adapted, before, atol=1e-3)
    torch.testing.assert_close(lora.merge(model)(ids), adapted, atol=1e-5, rtol=1e-5)
    with pytest.raises(RecipeError, match="there are down, gate, head"):
        lora.adapt(model, 4, 8.0, ("q_proj",))


@pytest.mark.parametrize("kind", ["mamba", "t5", "gpt2"])
def test_lora_on_layers_whose_weight_the_model_reads_itself(kind: str) -> None:
    """Mamba multiplies with `dt_proj.weight`, T5 asks for the type of `wo.weight`; GPT-2's weights are transposed."""
    t = pytest.importorskip("transformers")
    torch.manual_seed(1)
    size = {"vocab_size": 40, "num_hidden_layers": 1}
    model, targets = {
        "mamba": lambda: (t.MambaForCausalLM(t.MambaConfig(**size, hidden_size=16, state_size=4)), "dt_proj out_proj"),
        "t5": lambda: (
            t.T5ForConditionalGeneration(t.T5Config(**size, d_model=16, d_kv=8, d_ff=32, num_heads=2)),
            "wo",
        ),
        "gpt2": lambda: (t.GPT2LMHeadModel(t.GPT2Config(**size, n_embd=16, n_head=2, n_positions=16)), "c_fc"),
    }[kind]()
    ids = torch.arange(3, 15)[None]
    batch = {"input_ids": ids} | ({"decoder_input_ids": ids} if kind == "t5" else {})
    lora.adapt(model.eval(), 2, 4.0, tuple(targets.split()), seed=1)
    at_first = model(**batch).logits
    for name, p in model.named_parameters():
        if ".up." in name:
            torch.nn.init.normal_(p)
    adapted = model(**batch).logits
    adapted.sum().backward()
    assert all(p.grad.any() for name, p in model.named_parameters() if ".up." in name or ".down." in name)
    assert not torch.allclose(at_first, adapted, atol=1e-3)
    torch.testing.assert_close(lora.merge(model)(**batch).logits, adapted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["encoder-decoder", "decoder"])
def test_text_to_text(make, tmp_path: Path, base, kind: str) -> None:
    file = lines(tmp_path / "a.jsonl", [{"text": f"the {w} fox", "target": w} for w in WORDS])
    values = {"data__train": file, "data__length": 16, "batch__rows": 8, "optimizer__lr": 0.02}
    settings = make(objective__name="text-to-text", tune__base=str(base[kind]), steps=80, **values)
    train(settings)
    seen = [line["loss"] for line in read_metrics(settings.output)]
    assert seen[-1] < 0.6 * seen[0]
    if kind == "encoder-decoder":
        answers = commands.generate(settings.output, [f"the {w} fox" for w in WORDS], max_tokens=6, temperature=0.0)
        assert len(answers) == len(WORDS)


def test_loss_on_the_answer_only(make, tmp_path: Path, tokenizer: Path) -> None:
    from corpusmill.training.finetune.documents import Documents
    from corpusmill.training.objectives import IGNORE, Causal
    from corpusmill.training.vocabulary import Vocabulary

    (tmp_path / "t.yaml").write_text('- {prompt: "Q: {question}\\nA: ", answer: "{answer}"}\n')
    rows = [{"question": "the red fox", "answer": "seven"}, {"question": "数据 很 好 " * 20, "answer": "a blue hill"}]
    settings = make(objective__name="instruction", objective__templates=str(tmp_path / "t.yaml"), data__length=24)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"truncate": "keep-answer"})})
    vocabulary = Vocabulary(tokenizer)
    data = Documents(lines(tmp_path / "a.jsonl", rows), settings, vocabulary)
    assert (data.cut, data.left_out) == (1, 0)
    batch = Causal().prepare(data.rows(np.arange(2)), np.zeros(2, np.uint64))
    for i, row in enumerate(rows):
        wanted = batch["labels"][i][batch["labels"][i] != IGNORE]
        assert wanted[-1] == vocabulary.end
        assert vocabulary.decode(wanted) == row["answer"]
    assert batch["input_ids"].shape[1] == 24
    assert vocabulary.decode(batch["input_ids"][0][batch["segment_ids"][0] == 1]) == "Q: the red fox\nA: seven"


def test_templates(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(
        '- {prompt: "1 {instruction}"}\n- {prompt: "2 {instruction}"}\n- {prompt: "3 {input}", needs: [input]}\n'
    )
    kinds = templates.load(file)
    rng = Keyed(1, "templates")
    plain = [
        templates.render(kinds, {"id": str(i), "instruction": "x", "input": "", "output": "y"}, rng) for i in range(50)
    ]
    assert {p for p, _ in plain} == {"1 x", "2 x"}
    assert templates.render(kinds, {"id": "0", "input": "z", "output": "y"}, rng) == ("3 z", "y")
    for bad in ('- {prompt: "{a.b}"}', '- {prompt: "{a!r}"}', "- {answer: x}", "prompt", "- {prompt: x, more: y}"):
        file.write_text(bad)
        with pytest.raises(RecipeError, match="is not a list of templates"):
            templates.load(file)
    with pytest.raises(RecipeError, match="no column"):
        templates.render(kinds, {"id": "0"}, rng)


def test_documents_in_every_format(make, tmp_path: Path, tokenizer: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from corpusmill.training.finetune.documents import Documents
    from corpusmill.training.vocabulary import Vocabulary

    table = pa.table(
        {"body": ["the red fox", "", "数据", None], "label": [1, 0, 1, 0], "source": ["a", "b", None, "a"]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
        writer.write_table(table)
    lines(tmp_path / "a.jsonl", table.to_pylist())
    settings = make(objective__name="classification", data__columns={"text": "body"})
    made = [Documents(str(tmp_path / f"a.{s}"), settings, Vocabulary(tokenizer)) for s in ("parquet", "arrow", "jsonl")]
    assert len({d.digest for d in made}) == 1
    batch = made[0].rows(np.arange(4))
    assert batch["label"].tolist() == [1, 0, 1, 0]
    assert (batch["segment_ids"].sum(1) > 0).all()
    assert made[0].classes == ["0", "1"]
    with pytest.raises(RecipeError, match=r"needs a column text"):
        Documents(str(tmp_path / "a.parquet"), make(objective__name="classification"), Vocabulary(tokenizer))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match="no such file"):
        Documents(str(tmp_path / "none.parquet"), settings, Vocabulary(tokenizer))


def test_bases_that_do_not_fit(make, tmp_path: Path, base) -> None:
    file = lines(tmp_path / "a.jsonl", questions(20, 3))
    settings = make(objective__name="classification", tune__base=str(base["encoder"]), data__train=file, steps=2)
    train(settings)
    with pytest.raises(RecipeError, match="holds a Classifier"):
        train(
            settings.model_copy(
                update={
                    "output": str(tmp_path / "x"),
                    "tune": settings.tune.model_copy(update={"base": settings.output}),
                }
            )
        )
    with pytest.raises(DatasetError, match="holds no checkpoint"):
        train(make(output=str(tmp_path / "y"), tune__base=str(tmp_path / "none")))
    tuned = make(output=str(tmp_path / "z"), tune__method="lora", tune__base=str(base["decoder"]), steps=2)
    train(tuned)
    moved = tuned.model_copy(
        update={"output": str(tmp_path / "w"), "tune": tuned.tune.model_copy(update={"base": None})}
    )
    train(moved.model_copy(update={"tune": moved.tune.model_copy(update={"method": "full"})}))
    state = checkpoint.find(tuned.output) / "state.json"
    state.write_text(
        checkpoint.sealed(json.loads(state.read_text().replace(str(base["decoder"]), str(tmp_path / "w"))))
    )
    with pytest.raises(DatasetError, match="another base"):
        build.load(tuned.output)


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("method", ["classifier", "lora", "prompt"])
def test_per_sample_gradients_are_exact(method: str) -> None:
    module = pytest.importorskip("opacus.grad_sample").GradSampleModule
    torch.manual_seed(0)
    kind = "encoder" if method == "classifier" else "decoder"
    model: torch.nn.Module = Transformer(ModelSettings(kind=kind, layers=1, width=8, heads=2, vocabulary=20), seed=1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if method == "classifier":
        model = Classifier(model, 3)
    elif method == "lora":
        lora.adapt(model, 2, 4.0, ("query", "value", "up"))
        for parameter in build.trainable(model).values():
            torch.nn.init.normal_(parameter, std=0.3)
    else:
        model = SoftPrompt(model, 2)
    ids = torch.randint(0, 20, (4, 4))
    segments = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]])
    positions = torch.arange(4).expand(4, -1)

    def loss(network: torch.nn.Module, rows: slice) -> torch.Tensor:
        return network(ids[rows], segments[rows], positions[rows]).log_softmax(-1)[..., 1].sum()

    truth = []
    for i in range(4):
        model.zero_grad()
        loss(model, slice(i, i + 1)).backward()
        truth.append({n: p.grad.clone() for n, p in build.trainable(model).items()})
    model.zero_grad()
    loss(module(model, loss_reduction="sum"), slice(None)).backward()
    for name, parameter in build.trainable(model).items():
        for i in range(4):
            torch.testing.assert_close(parameter.grad_sample[i], truth[i][name], atol=1e-5, rtol=1e-4)


def test_every_document_of_a_row_reads_a_decoders_soft_prompt() -> None:
    """Packed or alone, a document has the same logits; an encoder's prompt reads its document, and refuses two."""
    shape = ModelSettings(layers=2, width=16, heads=2, vocabulary=20)
    base = Transformer(shape, seed=1)
    for parameter in base.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    model = SoftPrompt(base, 3)
    ids = torch.tensor([[4, 5, 6, 7, 8, 9, 0]])
    segments, positions = torch.tensor([[1, 1, 1, 2, 2, 2, 0]]), torch.tensor([[0, 1, 2, 0, 1, 2, 0]])
    with torch.no_grad():
        packed, alone = model(ids, segments, positions)[0], model(ids[:, :6].view(2, 3))
    torch.testing.assert_close(packed[:6].view(2, 3, -1), alone)
    encoder = SoftPrompt(Transformer(shape.model_copy(update={"kind": "encoder"})), 3)
    assert encoder(ids, segments.clamp(max=1), positions).shape == (1, 7, 20)
    with pytest.raises(RecipeError, match="one document a row"):
        encoder(ids, segments, positions)
