import importlib.metadata
import unicodedata

import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.versions import file_digest, library_version


def test_a_version_is_that_of_what_is_installed():
    assert library_version("unicode") == unicodedata.unidata_version
    assert library_version("numpy") == importlib.metadata.version("numpy")
    assert library_version("no-such-distribution") == ""


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = file_digest(str(path))
    path.write_text("other")
    assert file_digest(str(path)) != first
    path.write_text("one")
    assert file_digest(str(path)) == first
    with pytest.raises(RecipeError, match=r"gone\.txt: cannot be read"):
        file_digest(str(tmp_path / "gone.txt"))
