import sys

import pyarrow as pa
import pytest

from corpusmill.transforms.clean.html import strip_html
from corpusmill.transforms.errors import MissingDependencyError


def test_tags_scripts_and_entities():
    pytest.importorskip("resiliparse")
    texts = ["<html><body><h1>T</h1><p>a &lt; b</p><script>bad()</script></body></html>", "plain", "中文<br>字", ""]
    got = strip_html(pa.array(texts)).to_pylist()
    assert "bad" not in got[0]
    assert "a < b" in got[0]
    assert got[1] == "plain"
    assert got[2].split() == ["中文", "字"]
    assert got[3] == ""


def test_without_markup_the_same_array():
    pytest.importorskip("resiliparse")
    array = pa.array(["plain", None])
    assert strip_html(array) is array


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "resiliparse.extract.html2text", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        strip_html(pa.array(["<p>"]))
