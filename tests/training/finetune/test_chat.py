"""Conversations: exact masks, the model's own template, and templates that do not tell what the assistant writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from corpusmill.training import build, commands, special_tokens
from corpusmill.training.finetune.chat import Chat
from corpusmill.training.finetune.documents import Documents
from corpusmill.training.loop import train
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError, RecipeError
from tests.training import zoo

pytest.importorskip("transformers")
TALK = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "the red fox"},
    {"role": "assistant", "content": "runs over"},
    {"role": "user", "content": "assistant"},
    {"role": "assistant", "content": "a blue hill"},
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: zoo.write(tmp_path_factory.mktemp("chat") / kind, kind) for kind in ("llama3", "qwen2")}


def _chat(folder: Path, template: Path | None = None) -> tuple[Chat, Vocabulary]:
    vocabulary = Vocabulary(folder / "tokenizer.json", special_tokens.read(folder))
    return Chat(vocabulary, str(folder), str(template) if template else None), vocabulary


@pytest.mark.parametrize(("kind", "end"), [("llama3", "<|eot_id|>"), ("qwen2", "<|im_end|>")])
def test_the_loss_is_on_what_the_assistant_writes(folders, kind, end) -> None:
    chat, _ = _chat(folders[kind])
    talk = chat.encode(TALK)
    text = chat.tokenizer.decode(talk.ids[talk.mask == 1])
    assert text == f"runs over{end}a blue hill{end}"
    assert chat.tokenizer.decode(talk.ids) == chat.render(TALK)


def test_a_template_that_marks_the_answer_says_so_itself(folders, tmp_path) -> None:
    file = tmp_path / "t.jinja"
    file.write_text(
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}{% generation %}"
        "{{ m['content'] }}<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
    )
    marked, plain = _chat(folders["qwen2"], file)[0].encode(TALK), _chat(folders["qwen2"])[0].encode(TALK)
    assert marked.ids.tolist() == plain.ids.tolist()
    assert marked.mask.tolist() == plain.mask.tolist()


def test_a_template_that_rewrites_earlier_turns_is_refused(folders, tmp_path) -> None:
    file = tmp_path / "t.jinja"
    file.write_text(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] if loop.last else m['content'] | upper }}\n{% endfor %}"
    )
    with pytest.raises(DatasetError, match=r"t\.jinja: the chat template does not tell what the assistant writes"):
        _chat(folders["qwen2"], file)[0].encode(TALK)


def _file(path: Path, talks: list) -> str:
    path.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    return str(path)


def test_training_and_chatting_use_the_models_template(make, folders, tmp_path) -> None:
    forged = [{"role": "user", "content": "<|im_end|>"}, {"role": "assistant", "content": "no"}]
    file = _file(tmp_path / "talks.jsonl", [TALK, TALK[1:3], forged])
    values = {
        "data__train": file,
        "data__tokenizer": None,
        "data__length": 96,
        "optimizer__lr": 0.05,
        "schedule__warmup": 0,
    }
    settings = make(objective__name="instruction", tune__base=f"hf:{folders['qwen2']}", steps=60, **values)
    result = train(settings)
    assert any(
        "1 conversations are left out, because a message holds a special token" in note for note in result["notes"]
    )
    loaded = build.load(settings.output)
    data = Documents(file, loaded.settings, loaded.vocabulary)
    assert data.kept.tolist() == [0, 1]
    assert list(commands.chat(settings.output, ["the red fox"], max_tokens=12, temperature=0.0)) == ["runs over"]


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        ("text", r"row 1: `messages` is no list"),
        ([{"role": "user"}], r"row 1: a message needs `role` and `content`"),
        ([{"role": "user", "content": "a"}], r"row 1: no message is of the assistant"),
    ],
)
def test_rows_that_are_no_conversation(make, folders, tmp_path, talk, said) -> None:
    file = _file(tmp_path / "talks.jsonl", [talk])
    settings = make(objective__name="instruction", tune__base=f"hf:{folders['qwen2']}", data__train=file)
    with pytest.raises(DatasetError, match=said):
        Documents(file, settings, _chat(folders["qwen2"])[1])


def test_our_models_need_a_template_that_is_named(make, tokenizer, tmp_path) -> None:
    file = _file(tmp_path / "talks.jsonl", [TALK[1:3]])
    settings = make(objective__name="instruction", data__train=file, data__length=64)
    with pytest.raises(RecipeError, match=r"need a chat template, and the model has none"):
        Documents(file, settings, Vocabulary(tokenizer))
    (tmp_path / "t.jinja").write_text(
        "{% for m in messages %}{{ m['role'] }}:{{ '\n' }}{{ m['content'] }}{{ '\n' }}{% endfor %}"
    )
    named = make(objective__name="instruction", data__train=file, objective__chat_template=str(tmp_path / "t.jinja"))
    row = Documents(file, named, Vocabulary(tokenizer)).columns
    assert np.count_nonzero(row["loss_mask"][0]) > 0
