"""What a data set says of its own making, and when a private run may use it."""

import json
from pathlib import Path

import pytest

from corpusmill.privacy.certification import Certification, Refusal, dataset_of, manifest_of, private_sources, require
from corpusmill.transforms.errors import DatasetError, PrivacyError


@pytest.fixture
def home(tmp_path) -> Path:
    home = tmp_path / "out" / "docs"
    (home / "snapshots").mkdir(parents=True)
    for number, private in ((1, False), (2, True)):
        recipe = {"sources": [{"name": "mail", "private": private}, {"name": "web"}], "steps": []}
        (home / "snapshots" / f"{number:06}.json").write_text(json.dumps({"recipe": recipe}))
    return home


def test_a_file_is_told_by_the_data_set_that_it_lies_in(home, tmp_path):
    for inside in (home, home / "data" / "a.parquet", f"{home}/data/*.parquet"):
        assert dataset_of(inside) == home
    assert dataset_of(tmp_path / "out" / "other") is None
    assert dataset_of("") is None
    assert private_sources(manifest_of(home)[0]) == ["mail"]
    assert private_sources(manifest_of(home, 1)[0]) == []
    with pytest.raises(DatasetError, match="nobody can say what is in it"):
        manifest_of(home, 3)


def test_a_run_on_a_data_set_needs_a_certificate_of_it(home):
    path, digest = str(home), manifest_of(home)[1]
    with pytest.raises(PrivacyError, match="needs a certification"):
        require(path, None, "user", None, False)
    with pytest.raises(PrivacyError, match="another snapshot"):
        require(path, 1, "user", Certification("user", data=digest), False)
    with pytest.raises(PrivacyError, match="about the unit `document`"):
        require(path, None, "user", Certification("document", data=digest), False)
    good = Certification("user", data=digest)
    assert require(path, None, "user", good, False) is good
    bad = Certification("user", data=digest, refusals=[Refusal("docs, line 3", "exact", "cross", "why", "this way")])
    with pytest.raises(PrivacyError, match=r"docs, line 3: `exact` \(cross\): why\. To go on: this way\."):
        require(path, None, "user", bad, False)
    assert require(path, None, "user", bad, True).refusals  # let through, and on record


def test_files_outside_of_data_sets_are_an_assumption(tmp_path):
    found = require(str(tmp_path / "docs.parquet"), None, "user", None, False)
    assert "no unit of privacy changes the rows of another" in found.assumptions[0]
