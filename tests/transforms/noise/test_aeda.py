import re
from collections import Counter

from corpusmill.transforms.noise.aeda import Aeda
from corpusmill.transforms.random import Keyed
from tests.transforms.noise.corpora import CHINESE, ENGLISH, batch_of


def noised(text: str, seed: int = 0, **fields) -> str:
    return Aeda(keep_originals=False, **fields).expand(batch_of([text]), Keyed(seed, "a")).column("text")[0].as_py()


def test_words_and_their_order_stay() -> None:
    for text in (ENGLISH, CHINESE):
        assert re.findall(r"\w+", noised(text).replace("；", "")) is not None
        assert "".join(re.findall(r"\w", noised(text))) == "".join(re.findall(r"\w", text))


def test_marks_are_one_to_a_third_of_the_words() -> None:
    text = " ".join(["word"] * 30)
    counts = Counter(len(re.findall(r"[.;?:!,] ", noised(text, seed))) for seed in range(900))
    assert set(counts) == set(range(1, 10))
    assert all(abs(n - 100) < 5 * 100**0.5 for n in counts.values())


def test_wide_marks_in_chinese() -> None:
    out = noised("机器学习", max_marks=1.0)
    assert not re.search(r"[ .;?:!,]", out)
    assert re.search(r"[。；？：！，]", out)
