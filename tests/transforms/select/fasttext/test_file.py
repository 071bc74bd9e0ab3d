"""fastText files that are damaged, cut short, or of another kind: one clear error each."""

import numpy as np
import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.select.fasttext.file import is_fasttext, read
from tests.transforms.select.fasttext.written import WORDS, write_model


def test_what_is_written_is_read(tmp_path):
    path = str(write_model(tmp_path / "m.bin", small=True))
    contents = read(path)
    assert is_fasttext(path)
    assert contents.words.labels() == ["good", "bad", "odd", "rare"]
    assert contents.table.shape == (len(WORDS) + 25, 6)
    assert (contents.order, contents.loss, len(contents.words.pruned)) == (2, "softmax", 50)


@pytest.mark.parametrize("small", [False, True])
def test_a_file_that_is_cut_anywhere_is_told(tmp_path, small):
    whole = write_model(tmp_path / "m.bin", small=small).read_bytes()
    path = tmp_path / "cut.bin"
    for size in [*range(0, 300, 7), *np.linspace(300, len(whole) - 1, 40).astype(int).tolist()]:
        path.write_bytes(whole[:size])
        with pytest.raises(BadFileError, match="fastText model"):
            read(str(path))


def test_flipped_bytes_are_told_or_read_and_never_crash(tmp_path):
    whole = write_model(tmp_path / "m.bin", small=True).read_bytes()
    path, told = tmp_path / "bad.bin", 0
    for at in range(0, 460, 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read(str(path))
        except BadFileError:
            told += 1
    assert told > 30


def test_other_files_and_models_of_vectors_are_told(tmp_path):
    (tmp_path / "other").write_bytes(b"PK\3\4 something else")
    with pytest.raises(BadFileError, match="no fastText model"):
        read(str(tmp_path / "other"))
    with pytest.raises(BadFileError, match="word vectors, which has no labels"):
        read(str(write_model(tmp_path / "m.bin", kind=2)))
    with pytest.raises(BadFileError, match="no readable model"):
        read(str(tmp_path / "absent"))
    whole = bytearray(write_model(tmp_path / "nan.bin").read_bytes())
    whole[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "nan.bin").write_bytes(bytes(whole))
    with pytest.raises(BadFileError, match="no numbers"):
        read(str(tmp_path / "nan.bin"))
