import numpy as np
import pytest

from corpusmill.transforms.errors import BadFileError, MissingDependencyError
from corpusmill.transforms.noise.wordnet import Synonyms, find_entry, load_synonyms, read_wordnet, synonym_lists
from tests.transforms.noise.wordnet_files import write_wordnet


def test_lists(tmp_path) -> None:
    table = synonym_lists(read_wordnet(str(write_wordnet(tmp_path))), senses=1, phrases=False)
    assert table["dog"] == ["hound"]  # more often a noun
    assert table["hound"] == ["dog"]
    assert table["dogs"] == ["hounds"]
    assert table["boxes"] == ["crates"]
    assert table["car"] == ["auto"]
    assert table["jumped"] == ["leaped"]
    assert table["started"] == ["commenced"]  # `begin` is irregular
    assert table["quick"] == ["fast", "speedy"]
    assert "begined" not in table
    assert "children" not in table


def test_phrases(tmp_path) -> None:
    table = synonym_lists(read_wordnet(str(write_wordnet(tmp_path))), senses=1, phrases=True)
    assert table["car"] == ["auto", "motor car"]


def test_lookup_ignores_case_and_knows_what_is_absent() -> None:
    table = Synonyms.of({f"w{chr(97 + i % 26)}{chr(97 + i // 26)}": [f"s{i}"] for i in range(600)})
    for word, expected in (("wab", 26), ("WAB", 26), ("wzz", None), ("wa1", None), ("w", None)):
        data = np.frombuffer(word.encode(), np.uint8)
        entry = find_entry(data, 0, len(data), table.slots, table.hashes)
        found = (
            None
            if entry < 0
            else bytes(table.data[table.offsets[table.first[entry]] : table.offsets[table.first[entry] + 1]])
        )
        assert found == (None if expected is None else f"s{expected}".encode())


def test_frozen_once(tmp_path) -> None:
    folder = str(write_wordnet(tmp_path))
    assert load_synonyms(folder, 1, False) is load_synonyms(folder, 1, False)


def test_absent_data_names_the_command(tmp_path, monkeypatch) -> None:
    with pytest.raises(MissingDependencyError, match="wordnet-base"):
        read_wordnet(str(tmp_path))
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(MissingDependencyError, match=r"nltk\.downloader wordnet"):
        read_wordnet(None)


def test_nltk_data_is_found(tmp_path, monkeypatch) -> None:
    nltk = pytest.importorskip("nltk")
    write_wordnet(tmp_path / "corpora" / "wordnet")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    assert "data.noun" in read_wordnet(None)


def test_broken_data(tmp_path) -> None:
    folder = write_wordnet(tmp_path)
    (folder / "data.noun").write_text("not a database\n")
    with pytest.raises(BadFileError, match=r"data\.noun"):
        synonym_lists(read_wordnet(str(folder)), 1, False)
