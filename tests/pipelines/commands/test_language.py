"""A model of languages, trained as it is typed, names them in the step; codes, scores and doubts."""

import json

import pyarrow as pa
import pytest

from corpusmill.steps import Language
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.languages._model import open_languages
from corpusmill.transforms.random import Keyed
from tests.command import invoke, invoke_json
from tests.transforms.filters.reference import batch

TEXTS = {
    "eng": "The committee met on Thursday to discuss the new budget. Nobody had thought that there would be so much to say about "
    "the roads of the town, and the school that was built last year. She asked whether the money would last, and he said no.",
    "deu": "Der Ausschuss traf sich am Donnerstag, um den Haushalt zu besprechen. Niemand hatte gedacht, dass es so viel über die "
    "Straßen der Stadt zu sagen gäbe, und die Schule, die im letzten Jahr gebaut wurde. Sie fragte, ob das Geld reichen würde.",
    "rus": "Комитет собрался в четверг, чтобы обсудить новый бюджет. Никто не думал, что о дорогах города можно столько говорить, "
    "и о школе, которую построили в прошлом году. Она спросила, хватит ли денег, и он сказал, что нет.",
    "ukr": "Комітет зібрався в четвер, щоб обговорити новий бюджет. Ніхто не думав, що про дороги міста можна стільки говорити, "
    "і про школу, яку збудували минулого року. Вона запитала, чи вистачить грошей, і він сказав, що ні.",
    "cmn": "委员会星期四开会讨论新的预算。没有人想到关于城里的道路和去年建成的学校会有这么多话要说。她问钱够不够，他说不够。",
    "tha": "คณะกรรมการประชุมเมื่อวันพฤหัสบดีเพื่อหารือเกี่ยวกับงบประมาณใหม่ ไม่มีใครคิดว่าจะมีเรื่องถนนและโรงเรียนให้พูดมากขนาดนี้",
}
UNSEEN = {
    "eng": "They would not say what was in the letter that she had sent to him.",
    "deu": "Sie wollten nicht sagen, was in dem Brief stand, den er geschickt hatte.",
    "rus": "Они не хотели говорить, что было в письме, которое она ему отправила.",
    "ukr": "Вони не хотіли казати, що було в листі, який вона йому надіслала.",
    "cmn": "他们不想说信里有什么。",
    "tha": "พวกเขาไม่อยากพูดว่าในจดหมายมีเรื่องอะไร",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lid")
    (folder / "texts").mkdir()
    for code, text in TEXTS.items():
        (folder / "texts" / f"{code}.txt").write_text(text, encoding="utf-8")
    done = invoke("language", "train", "--labels", folder / "texts", "--out", folder / "lid.safetensors")
    assert done.stdout.startswith(f"{folder}/lid.safetensors is written: 6 languages")
    return folder


def test_unseen_text_is_named_and_measured(model):
    path = str(model / "lid.safetensors")
    verdict = Language(model=path).judge(batch([*UNSEEN.values(), "", "123 !?", "ქართული ენა"]), Keyed())
    assert verdict.batch.column("lang").to_pylist() == [*UNSEEN, "und", "und", "und"]
    assert verdict.scores["score"][-3:].tolist() == [0, 0, 0]
    rows = [{"text": t, "lang": code} for code, t in UNSEEN.items()] + [{"text": "Привет всем", "lang": "bel"}]
    (model / "held.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    figures = invoke_json("language", "eval", path, "--labels", model / "held.jsonl")
    assert figures["accuracy"] == pytest.approx(6 / 7)
    assert figures["unknown_to_the_model"] == ["bel"]
    assert "bel taken for" in invoke("language", "eval", path, "--labels", model / "held.jsonl").stdout


def test_no_language_is_guessed_in_a_script_of_others(model):
    opened = open_languages(str(model / "lid.safetensors"))
    scores, letters = opened.scores(pa.array(["привет", "hello", "123"]))
    assert (scores[0] > -1).tolist() == [n in ("rus", "ukr") for n in opened.names]
    assert (scores[1] > -1).tolist() == [n in ("eng", "deu") for n in opened.names]
    assert letters.tolist() == [6, 5, 0]


def test_doubts_and_thresholds(model):
    path = str(model / "lid.safetensors")
    rows = batch(list(UNSEEN.values()))
    scores = Language(model=path).judge(rows, Keyed()).scores["score"]
    assert set(Language(model=path, abstain=1.0)(rows).column("lang").to_pylist()) == {
        code if s == 1 else "und" for code, s in zip(UNSEEN, scores)
    }
    assert Language(model=path, margin=1.0)(rows).column("lang").to_pylist().count("und") >= 2
    verdict = Language(model=path, min_scores={"deu": 1.0, "tha": 0.0}).judge(rows, Keyed())
    assert verdict.kept.tolist() == [code != "deu" for code in UNSEEN]
    assert verdict.reasons[verdict.codes[1]] == "min_scores"
    assert Language(model=path, keep=["tha"])(rows).column("lang").to_pylist() == ["tha"]
    with pytest.raises(RecipeError, match="did you mean 'tha'"):
        Language(model=path, keep=["th"])(rows)
    with pytest.raises(RecipeError, match="margin"):
        Language(margin=0.1)


def test_the_order_of_texts_changes_no_byte(model, tmp_path):
    rows = [{"text": t, "lang": code} for code, t in TEXTS.items()]
    written = []
    for number, given in enumerate((rows, rows[::-1])):
        file = tmp_path / f"{number}.jsonl"
        file.write_text("".join(json.dumps(r) + "\n" for r in given))
        assert invoke("language", "train", "--labels", file, "--out", tmp_path / "m").exit_code == 0
        written.append((tmp_path / "m").read_bytes())
    assert written[0] == written[1] == (model / "lid.safetensors").read_bytes()


def test_bad_input_is_named(model, tmp_path):
    for text, message in (("nothing", "no readable model"), (None, "cannot be read")):
        path = tmp_path / f"{text}.safetensors"
        if text:
            path.write_text(text)
        with pytest.raises(BadFileError, match=message):
            Language(model=str(path))(batch(["a"]))
    data = bytearray((model / "lid.safetensors").read_bytes())
    data[-9] ^= 1
    (tmp_path / "flipped").write_bytes(data)
    with pytest.raises(BadFileError, match="is damaged"):
        open_languages(str(tmp_path / "flipped"))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "eng.txt").write_text("hello")
    done = invoke("language", "train", "--labels", tmp_path / "one", "--out", tmp_path / "x")
    assert "two at least are needed" in done.output
    (tmp_path / "one" / "deu.txt").write_text("123")
    done = invoke("language", "train", "--labels", tmp_path / "one", "--out", tmp_path / "x")
    assert "'deu' has no text with letters" in done.output
    assert not (tmp_path / "x").exists()
