"""Ids are those of HF tokenizers, whatever encodes."""

import json
import threading
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.errors import BadFileError, MissingDependencyError, RecipeError
from corpusmill.transforms.tokens import tokenizer as module
from corpusmill.transforms.tokens.tokenizer import PROBE, Tokenizer, load_tokenizer, token_dtype

HARD = [
    "",
    " ",
    "\n\n\n",
    "\x00",
    "\x00\x01\x07\x1b[31m\x7f\x85",
    "😀",
    "👩‍👩‍👧🏽🇨🇳",
    "e\u0301 \u00e9 \ufeff\u200b\u2028",
    "a" * 5000,
    "漢" * 3000,
    " " * 777 + "x",
    "\r\n\t\v\f",
    "it's we'll I'D 'twas",
    "\U0010ffff\ufffe",
    "١٢٣ १२३ ½ Ⅷ",
]


def reference(path: str, texts: list[str]) -> list[list[int]]:
    from tokenizers import Tokenizer as Reference

    hf = Reference.from_file(path)
    hf.encode_special_tokens = True
    return [e.ids for e in hf.encode_batch(texts, add_special_tokens=False)]


def rows(coded: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    offsets, ids = coded
    return [ids[a:b].tolist() for a, b in zip(offsets, offsets[1:])]


def engines() -> list[str]:
    return ["tokenizers", *(["gigatoken"] if "gigatoken" in module._installed() else [])]


@pytest.fixture(params=["tokenizers", "gigatoken"])
def tokenizer(request: pytest.FixtureRequest, tokenizer_path: str) -> Tokenizer:
    if request.param not in engines():
        pytest.skip("gigatoken is not installed")
    return Tokenizer(tokenizer_path, engine=request.param)


def test_ids_equal_hf_on_hard_texts(tokenizer: Tokenizer, documents: pa.RecordBatch) -> None:
    texts = HARD + [PROBE] + documents.column("text").to_pylist()
    assert rows(tokenizer.encode(pa.array(texts))) == reference(tokenizer.path, texts)


def test_ids_equal_hf_in_every_language(tokenizer_path: str, corpus: Path) -> None:
    by_language: dict[str, list[str]] = {}
    for file in sorted(corpus.glob("*.parquet")):
        table = pq.read_table(file, columns=["lang"])
        first = {}
        for i, lang in enumerate(table["lang"].to_pylist()):
            first.setdefault(lang, []).append(i)
        take = [i for places in first.values() for i in places[:2]]
        picked = pq.read_table(file, columns=["lang", "text"]).take(take)
        for lang, text in zip(picked["lang"].to_pylist(), picked["text"].to_pylist()):
            by_language.setdefault(lang, []).append(text[:6000])
    tokenizer = load_tokenizer(tokenizer_path)
    wrong = []
    for lang, texts in by_language.items():
        if rows(tokenizer.encode(pa.array(texts))) != reference(tokenizer_path, texts):
            wrong.append(lang)
    assert len(by_language) >= 40
    assert wrong == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_text_round_trips_with_equal_ids(tokenizer_path: str, texts: list[str]) -> None:
    tokenizer = load_tokenizer(tokenizer_path)
    coded = rows(tokenizer.encode(pa.array(texts, pa.string())))
    assert coded == reference(tokenizer_path, texts)
    assert [tokenizer.decode(np.array(ids, np.uint32)) for ids in coded] == texts


def test_slices_nulls_and_nothing(tokenizer: Tokenizer) -> None:
    whole = pa.array(["one", None, "", "two three", "四"])
    expected = reference(tokenizer.path, ["one", "", "", "two three", "四"])
    assert rows(tokenizer.encode(whole)) == expected
    assert rows(tokenizer.encode(whole.slice(2, 2))) == expected[2:4]
    assert rows(tokenizer.encode(whole.cast(pa.large_string()).slice(3))) == expected[3:]
    assert rows(tokenizer.encode(pa.array([], pa.string()))) == []
    assert rows(tokenizer.encode(pa.array(["", None, ""], pa.string()))) == [[], [], []]


def test_a_document_cannot_forge_a_special_token(tokenizer_path: str) -> None:
    text = "before<|endoftext|>after"
    for engine in engines():
        plain = Tokenizer(tokenizer_path, engine=engine)
        end = plain.id_of("<|endoftext|>", "eos")
        ids = plain.encode(pa.array([text]))[1]
        assert end not in ids
        assert plain.decode(ids) == text
        marked = Tokenizer(tokenizer_path, special_in_text=True, engine=engine)
        assert marked.encode(pa.array([text]))[1].tolist().count(end) == 1


def test_truncation_padding_and_templates_in_the_file_are_not_applied(tokenizer_path: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Reference
    from tokenizers.processors import TemplateProcessing

    hf = Reference.from_file(tokenizer_path)
    hf.enable_truncation(3)
    hf.enable_padding(length=10, pad_id=1)
    hf.post_processor = TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    path = str(tmp_path / "t.json")
    hf.save(path)
    text = "the shard is written beside its name"
    for engine in engines():
        assert rows(Tokenizer(path, engine=engine).encode(pa.array([text]))) == reference(tokenizer_path, [text])


def test_a_file_the_fast_encoder_cannot_take_is_encoded_by_hf_and_says_so(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Reference
    from tokenizers import models, pre_tokenizers

    hf = Reference(models.WordLevel({"[UNK]": 0, "the": 1, "shard": 2}, unk_token="[UNK]"))
    hf.pre_tokenizer = pre_tokenizers.Whitespace()
    path = str(tmp_path / "words.json")
    hf.save(path)
    with pytest.warns(UserWarning, match="encoding with HF tokenizers"):
        tokenizer = Tokenizer(path)
    assert (tokenizer.engine, tokenizer.vocab_size) == ("tokenizers", 3)
    assert tokenizer.reason
    assert rows(tokenizer.encode(pa.array(["the shard", "x", ""]))) == [[1, 2], [0], []]


def test_without_the_fast_encoder_the_reason_names_the_command(
    tokenizer_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gigatoken", None)
    with pytest.warns(UserWarning, match="pip install gigatoken"):
        slow = Tokenizer(tokenizer_path)
    assert rows(slow.encode(pa.array(["shard"]))) == reference(tokenizer_path, ["shard"])
    with pytest.raises(MissingDependencyError, match="pip install gigatoken"):
        Tokenizer(tokenizer_path, engine="gigatoken")


def test_an_encoder_with_other_ids_is_not_trusted(tokenizer_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def encode(self, text: str) -> np.ndarray:
            return np.array([1, 2, 3], np.uint32)

    monkeypatch.setattr(module, "_gigatoken", lambda text, added: (Wrong(), ""))
    with pytest.warns(UserWarning, match="other ids"):
        assert Tokenizer(tokenizer_path).engine == "tokenizers"


def test_several_threads_share_one_encoder(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    tokenizer = load_tokenizer(tokenizer_path)
    texts = documents.column("text")
    expected, seen = rows(tokenizer.encode(texts)), []
    threads = [threading.Thread(target=lambda: seen.append(rows(tokenizer.encode(texts)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 4


def test_what_a_file_says(tokenizer_path: str, tmp_path: Path) -> None:
    import hashlib

    tokenizer = load_tokenizer(tokenizer_path)
    assert load_tokenizer(tokenizer_path) is tokenizer
    assert tokenizer.digest == hashlib.sha256(Path(tokenizer_path).read_bytes()).hexdigest()
    assert tokenizer.special == {"<|endoftext|>": 0, "<|pad|>": 1}
    assert tokenizer.vocab_size == 500
    assert tokenizer.dtype == np.uint16
    with pytest.raises(RecipeError, match=r"pack.eos: '</s>' is no token of .*its special tokens are: <\|endoftext\|>"):
        tokenizer.id_of("</s>", "pack.eos")


def test_a_changed_file_is_loaded_again(tokenizer_path: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    config = json.loads(Path(tokenizer_path).read_text())
    path.write_text(json.dumps(config))
    first = load_tokenizer(str(path))
    path.write_text(json.dumps(config, indent=3))
    assert load_tokenizer(str(path)).digest != first.digest


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": 3}', "\x00\x01"])
def test_files_that_are_no_tokenizer(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(BadFileError, match=r"is no tokenizer\.json"):
        load_tokenizer(str(path))
    with pytest.raises(BadFileError, match="cannot be read"):
        load_tokenizer(str(tmp_path / "absent.json"))


def test_loading_a_good_file_warns_of_nothing(tokenizer_path: str) -> None:
    if "gigatoken" not in engines():
        pytest.skip("gigatoken is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Tokenizer(tokenizer_path).engine == "gigatoken"


def test_ids_are_16_bits_wide_where_they_fit() -> None:
    assert token_dtype(65_536) == np.uint16
    assert token_dtype(65_537) == np.int32


def test_dropout_in_the_file_is_not_applied(tokenizer_path: str, tmp_path: Path) -> None:
    config = json.loads(Path(tokenizer_path).read_text())
    config["model"]["dropout"] = 0.5
    path = tmp_path / "dropout.json"
    path.write_text(json.dumps(config))
    texts = ["the documents that are read and dropped again " * 5] * 20
    for engine in engines():
        assert rows(Tokenizer(str(path), engine=engine).encode(pa.array(texts))) == reference(tokenizer_path, texts)


@pytest.mark.parametrize("flag", [None, "single_word", "lstrip", "rstrip", "normalized"])
@pytest.mark.parametrize("special", [False, True])
def test_added_tokens_have_the_ids_of_hf_whatever_is_around_them(
    flag: str | None, special: bool, tokenizer_path: str, tmp_path: Path
) -> None:
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Reference

    hf = Reference.from_file(tokenizer_path)
    token = AddedToken("shard", **({flag: True} if flag else {}), special=special)
    hf.add_special_tokens([token]) if special else hf.add_tokens([token])
    path = str(tmp_path / "added.json")
    hf.save(path)
    around = ["", " ", "a", "é", "汉", "_", "1", "-", "\n", "\u00a0", "\u0301"]
    texts = [f"{left}shard{right}" for left in around for right in around]
    for special_in_text in (False, True):
        hf.encode_special_tokens = not special_in_text
        expected = [e.ids for e in hf.encode_batch(texts, add_special_tokens=False)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tokenizer = Tokenizer(path, special_in_text)
        assert rows(tokenizer.encode(pa.array(texts))) == expected, tokenizer.engine
        if flag in ("single_word", "lstrip", "rstrip") and (special_in_text or not special):
            assert flag in tokenizer.reason
