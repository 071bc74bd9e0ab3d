"""Mistakes in the words of a user, for steps that are made in Python."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError

from corpusmill.steps import Clean, Language, Minhash, Top
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.explain import in_words, joined


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Minhash(treshold=0.8), "the step `minhash` has no field `treshold`; did you mean `threshold`?"),
        (lambda: Minhash(threshold=2), "the step `minhash`: `threshold` is 2: must be at most 1"),
        (lambda: Clean(unicode="NFD"), 'the step `clean`: `unicode`: must be one of NFC, NFKC, none, not "NFD"'),
        (lambda: Language(keep=3), "the step `language`: `keep`: must be a list, not a whole number (3)"),
        (lambda: Top(), "the step `top` lacks `by`"),
        (lambda: Top(by="n"), "the step `top`: say how much to keep, either by `share` or by `budget`"),
    ],
)
def test_a_step_made_in_python_says_what_a_recipe_says(make, message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        make()
    assert str(raised.value).startswith(message)


def test_every_mistake_is_on_a_line_of_its_own() -> None:
    with pytest.raises(RecipeError) as raised:
        Minhash(threshold="high", bandz=3)
    lines = str(raised.value).splitlines()
    assert [line.split(";")[0] for line in lines] == [
        'the step `minhash`: `threshold`: must be a number, not a text ("high")',
        "the step `minhash` has no field `bandz`",
    ]


def test_reading_data_still_raises_what_pydantic_raises() -> None:
    with pytest.raises(ValidationError):
        Minhash.model_validate({"treshold": 0.8})


class Both(BaseModel):
    count: int | list[int] = Field(0, description="One number or several.")


def test_a_union_is_one_mistake() -> None:
    with pytest.raises(ValidationError) as raised:
        Both(count="x")
    assert in_words(raised.value, Both, "it", {"count": "x"}) == [
        'it: `count`: must be a whole number or a list, not a text ("x"); One number or several.'
    ]


def test_joined() -> None:
    assert joined(["`a`: must be a number, not a text", "`a`: must be a list, not a text"]) == (
        "`a`: must be a number or a list, not a text"
    )
    assert joined(["one", "two", "one"]) == "one or two"
