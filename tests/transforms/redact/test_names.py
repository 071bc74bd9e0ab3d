"""The adapter to Presidio, with a stand-in of its interface (the package and its models are large)."""

import sys
import types
from dataclasses import dataclass

import pyarrow as pa
import pytest

from corpusmill.transforms.redact import names
from corpusmill.transforms.redact.redact import Redact


@dataclass
class Result:
    start: int
    end: int
    score: float


class AnalyzerEngine:
    """Finds Ann and 王芳, as Presidio's engine answers."""

    def analyze(self, text: str, entities: list[str], language: str) -> list[Result]:
        assert entities == ["PERSON"]
        assert language == "en"
        known = (("Ann", 0.9), ("王芳", 0.8), ("Maybe", 0.2), ("ann@example.org", 0.7))
        return [Result(text.index(n), text.index(n) + len(n), s) for n, s in known if n in text]


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    module = types.ModuleType("presidio_analyzer")
    module.AnalyzerEngine = AnalyzerEngine
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    names._analyzer.cache_clear()
    yield
    names._analyzer.cache_clear()


def test_names_give_way_to_other_values() -> None:
    texts = ["é Ann called", "我是王芳，你好", "mail ann@example.org", "Maybe", "", None]
    batch = pa.record_batch({"id": list("abcdef"), "text": texts, "source": ["s"] * 6})
    assert Redact(names=True)(batch).column("text").to_pylist() == [
        "é <PERSON> called",
        "我是<PERSON>，你好",
        "mail <EMAIL>",
        "Maybe",
        "",
        None,
    ]
