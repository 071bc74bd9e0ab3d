"""Transforms by their recipe key: found by file, loaded alone, versions checked, near misses named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.registry import load, names, usable
from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError


def test_names_are_modules_that_hold_a_class_of_that_name() -> None:
    found = names()
    assert found["gopher-quality"] == "corpusmill.transforms.filters.gopher_quality"
    assert found["minhash"] == "corpusmill.transforms.dedup.minhash"
    assert "rules" not in found
    assert "spec" not in found
    assert list(found) == sorted(found)


@pytest.mark.parametrize("name", sorted(usable()))
def test_every_listed_transform_loads_and_is_consistent(name: str) -> None:
    cls = load(name)
    assert issubclass(cls, Transform)
    assert cls.name == name
    assert load(f"{name}@{cls.version}") is cls
    assert cls.__doc__


def test_listing_imports_nothing_and_loading_imports_one() -> None:
    code = (
        "import sys; from corpusmill.pipelines.recipe.registry import load, names; names();"
        "assert not [m for m in sys.modules if m.startswith('transforms.') and m != 'corpusmill.transforms.errors'];"
        "assert 'pydantic' not in sys.modules;"
        "load('exact'); assert 'corpusmill.transforms.dedup.minhash' not in sys.modules; assert 'apache_beam' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no transform is called `minhahs`; did you mean `minhash`"):
        load("minhahs")
    with pytest.raises(RecipeError, match="did you mean `gopher-quality`"):
        load("Gopher_Quality")
    with pytest.raises(RecipeError, match=r"there are: .*exact"):
        load("zzz")


def test_a_version_that_does_not_exist_says_which_does() -> None:
    with pytest.raises(RecipeError, match="has version 1; write `gopher-quality@1`"):
        load("gopher-quality@9")
    for bad in ("gopher-quality@", "gopher-quality@x", "gopher-quality@0", "gopher-quality@-1"):
        with pytest.raises(RecipeError, match="a version is a whole number"):
            load(bad)


USER = '''
import numpy as np
from corpusmill.transforms.base import Filter, Transform, Verdict

class Shouty(Filter):
    """Drop shouting."""
    name = "shouty"
    version = 3
    limit: float = 0.5
    def judge(self, batch, rng):
        return Verdict(("loud",), np.full(len(batch), -1, np.int16), np.full(len(batch), np.nan))

class Half(Filter):
    """Misses judge."""
    name = "half"

class Nameless(Shouty):
    """Bad name."""
    name = "No Name"

class Other:
    """No transform."""

class Bare(Transform):
    """Of no kind."""
    name = "bare"

class Narrow(Filter):
    """Takes too little."""
    name = "narrow"
    def judge(self, batch):
        return None
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_filters_here.py").write_text(USER)
    yield tmp_path
    sys.modules.pop("own_filters_here", None)


def test_a_class_of_the_users_own_beside_the_recipe(own: Path) -> None:
    cls = load("own_filters_here:Shouty", own)
    assert cls().limit == 0.5
    assert load("own_filters_here:Shouty@3", own) is cls
    with pytest.raises(RecipeError, match="has version 3"):
        load("own_filters_here:Shouty@1", own)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("own_filters_here:Shoty", "no class or function `Shoty`; did you mean `Shouty`"),
        ("own_filters_here:Half", "lacks the method `judge`, which every Filter"),
        ("own_filters_here:Other", "is no transform"),
        ("own_filters_here:Bare", "is no transform: derive it from Map, Filter, Expand or Group"),
        ("own_filters_here:Narrow", r"own_filters_here.py:\d+: `Narrow.judge` is `judge\(self, batch\)`; it must take"),
        ("own_filters_here:Nameless", "needs a `name`"),
        ("nowhere_at_all:X", "importing `nowhere_at_all` failed.*is it installed, or beside the recipe"),
        ("a b:c", "is no import path"),
        (":X", "is no import path"),
    ],
)
def test_mistakes_in_import_paths(own: Path, key: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what):
        load(key, own)


def test_a_module_that_fails_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "broken_filters_here.py").write_text("1 / 0")
    with pytest.raises(RecipeError, match="ZeroDivisionError"):
        load("broken_filters_here:X", tmp_path)


def test_a_module_beside_the_recipe_never_hides_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text("1 / 0")
    with pytest.raises(RecipeError, match="is no transform"):
        load("json:JSONDecoder", tmp_path)
    assert sys.path[0] != str(tmp_path)


def own_module(folder: Path, said: str) -> Path:
    folder.mkdir()
    (folder / "same_name_here.py").write_text(
        "from same_helper_here import SAID\nfrom corpusmill.transforms.base import Map\n\n\nclass Mine(Map):\n    name = 'mine'\n\n"
        "    def map(self, batch, rng):\n        return batch\n"
    )
    (folder / "same_helper_here.py").write_text(f"SAID = {said!r}\n")
    return folder


def test_recipes_of_two_folders_have_modules_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    folders = {said: own_module(tmp_path / said, said) for said in ("a", "b")}
    first = {said: load("same_name_here:Mine", folder) for said, folder in folders.items()}
    for said, cls in first.items():
        assert load("same_name_here:Mine", folders[said]) is cls
        assert said == sys.modules["same_name_here"].SAID
        load("same_name_here:Mine", folders["b"])
