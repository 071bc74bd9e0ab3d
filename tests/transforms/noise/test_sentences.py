from collections import Counter

import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.noise.sentences import Sentences
from corpusmill.transforms.noise.splitting import split_sentences
from corpusmill.transforms.random import Keyed
from tests.transforms.noise.corpora import CHINESE, ENGLISH, JAPANESE, batch_of


def noised(text: str, seed: int = 0, **fields) -> str:
    t = Sentences(keep_originals=False, **fields)
    return t.expand(batch_of([text]), Keyed(seed, "s")).column("text")[0].as_py()


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, JAPANESE])
@pytest.mark.parametrize("operation", ["shuffle", "rotate"])
def test_order_changes_and_nothing_else(text: str, operation: str) -> None:
    out = noised(text, **{operation: 1.0})
    assert out != text
    assert Counter(out) == Counter(text)


def test_rotation_keeps_the_circle() -> None:
    out = split_sentences(noised("One. Two. Three. Four.", rotate=1.0))
    turn = out.index("One.")
    assert turn > 0
    assert out[turn:] + out[:turn] == ["One.", "Two.", "Three.", "Four."]


def test_every_order_is_equally_likely() -> None:
    counts = Counter(noised("A1. B2. C3.", seed, shuffle=1.0) for seed in range(1200))
    assert len(counts) == 6
    assert all(abs(n - 200) < 5 * (200 * 5 / 6) ** 0.5 for n in counts.values())


def test_delete() -> None:
    text = " ".join(f"S{i}." for i in range(1000))
    left = noised(text, delete=0.2).split()
    assert abs(len(left) - 800) < 3 * (1000 * 0.2 * 0.8) ** 0.5
    assert left == [s for s in text.split() if s in set(left)]
    assert noised("One. Two.", delete=1.0) == "Two."


def test_the_wider_gap_stays() -> None:
    for seed in range(50):
        out = noised("One. Two.\n\nThree. Four.", seed, delete=0.3)
        if any(s in out for s in ("One", "Two")) and any(s in out for s in ("Three", "Four")):
            assert "\n\n" in out


def test_no_operation_is_a_mistake() -> None:
    with pytest.raises(RecipeError, match="no rate"):
        Sentences()
