import json

import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.noise.vocabulary import token_tables


def test_wordpiece(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    vocab = {"[PAD]": 0, "run": 1, "##ning": 2, ".": 3, "机": 4, "##!": 5}
    spec = {
        "model": {"type": "WordPiece", "vocab": vocab},
        "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
    }
    path.write_text(json.dumps(spec))
    begins, ends = token_tables(str(path))
    assert begins.tolist() == [True, True, False, True, True, False]
    assert ends.tolist() == [False, False, False, True, False, True]


def test_metaspace(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    vocab = [["<unk>", 0.0], ["▁the", -1.0], ["re", -2.0], ["。", -3.0], ["▁", -4.0]]
    path.write_text(json.dumps({"model": {"type": "Unigram", "vocab": vocab}, "decoder": {"type": "Metaspace"}}))
    begins, ends = token_tables(str(path))
    assert begins.tolist() == [True, True, False, True, True]
    assert ends.tolist() == [False, False, False, True, False]


def test_byte_level_of_the_real_library(tmp_path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    text = "The runner ran. 机器学习。 Что это? end!"
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([text] * 3, vocab_size=300, min_frequency=1)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    begins, ends = token_tables(str(tmp_path / "tokenizer.json"))
    encoded = tokenizer.encode(text)
    words = sum(bool(begins[i]) for i in encoded.ids[1:])
    assert sum(bool(ends[i]) for i in encoded.ids) >= 3
    # each space, mark and Chinese character begins a word; the pieces of Russian letters do not
    assert 10 <= words <= 20


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {}}'])
def test_other_files_are_refused(tmp_path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BadFileError, match=r"tokenizer\.json"):
        token_tables(str(tmp_path / "tokenizer.json"))
    with pytest.raises(BadFileError, match="cannot be read"):
        token_tables(str(tmp_path / "absent"))
