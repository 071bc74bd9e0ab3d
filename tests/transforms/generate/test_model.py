"""How steps find a model, and what names a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate import model
from corpusmill.transforms.generate.model import Request, Sampling

OPENED: list[str] = []


class Fixed:
    """Answers with the number of the request."""

    digest, classes = "f" * 32, []

    def complete(self, requests: Sequence[Request]) -> list[str]:
        return [r.prompt.upper() for r in requests]


def open_fixed(spec: str) -> Any:
    OPENED.append(spec)
    return Fixed()


open_fixed.digest = lambda spec: spec[::-1]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_OPENERS", {})
    monkeypatch.setattr(model, "_OPEN", {})
    OPENED.clear()
    model.register("fixed", f"{__name__}:open_fixed")


def test_a_scheme_finds_its_opener_and_a_path_may_hold_a_colon() -> None:
    assert model.scheme_of("fixed:one") == "fixed"
    assert model.scheme_of("a/b:c") == model.scheme_of("plain") == ""
    assert model.digest_of("fixed:one") == "eno:dexif"
    with pytest.raises(RecipeError, match=r"nothing here opens it; openers: fixed:"):
        model.digest_of("other:one")


def test_a_model_is_opened_once() -> None:
    first = model.open_model("fixed:one")
    assert model.open_model("fixed:one") is first
    assert model.open_model("fixed:two") is not first
    assert OPENED == ["fixed:one", "fixed:two"]


def test_a_payload_names_all_that_decides_the_answer_and_not_the_record() -> None:
    request = Request("p", 1, "record", Sampling())
    payload = request.payload("m")
    assert Request("p", 1, "another", Sampling()).payload("m") == payload
    others = [
        Request("q", 1).payload("m"),
        Request("p", 2).payload("m"),
        Request("p", 1, sampling=Sampling(temperature=0.5)).payload("m"),
        request.payload("n"),
    ]
    assert len({payload, *others}) == 5


def test_answers_come_from_the_cache_while_it_lasts(tmp_path) -> None:
    opened = model.open_model("fixed:one")
    requests = [Request("a", 1, "r"), Request("b", 2, "r")]
    assert model.ask(opened, requests) == ["A", "B"]
    with model.cache_in(str(tmp_path / "requests.sqlite")):
        assert model.ask(opened, requests) == ["A", "B"]
        opened.complete = lambda requests: pytest.fail("asked again")  # type: ignore[method-assign]
        assert model.ask(opened, requests) == ["A", "B"]
    with pytest.raises(pytest.fail.Exception, match="asked again"):
        model.ask(opened, requests)
