"""The filters' rules once more in plain Python, from the papers' text, to compare the kernels with."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CORPUS = Path(__file__).resolve().parents[3] / "../shared/data/corpus"
ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U000323af"
)
HAND = [
    "", " ", "\n\n", "...", "#", "a", "你好", "中文，Python 3.11 很好。（真的）“是”的！", "日本語のテキストです。カタカナも。",
    "สวัสดีชาวโลก ภาษาไทย", "مرحبا بالعالم، كيف حالك؟", "👍🏽 ok 👨‍👩‍👧", "don't stop—3.5% of it … and the end...",
    "e\u0301a\u0301 naïve",
    "- one\n• two\n* three\n\nfour …\nfive...  \n", "the be to of and that have with " * 20, "a b c d " * 40, "\ufe0f\u20e3 x",
    "x\r\ny\r\n\r\nx\r\n", "of, THE. the", "ab\u3000cd\u00a0ef\u2028gh", "好好好好好好好好好好好好",
]  # fmt: skip


def corpus_texts(n: int, seed: int = 0) -> list[str]:
    """A random sample of real documents, long ones cut; skips the test where there are none."""
    shards = sorted(CORPUS.glob("*.parquet"))
    if not shards:
        pytest.skip(f"no {CORPUS}: real documents are needed")
    column = pq.read_table(shards[seed % len(shards)], columns=["text"])["text"]
    rows = np.random.default_rng(seed).choice(len(column), n, replace=False)
    return [t[:20_000] for t in column.take(rows).to_pylist()]


def batch(texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"id": [str(i) for i in range(len(texts))], "text": pa.array(texts, pa.string())})


def alone(char: str) -> bool:
    return re.fullmatch(rf"[{ALONE}]", char) is not None and is_word(char)


def is_mark(char: str) -> bool:
    import unicodedata

    return unicodedata.category(char)[0] == "M"


def is_word(char: str) -> bool:
    return re.fullmatch(r"\w", char) is not None and not is_mark(char)


def rule_words(text: str, adapt: bool = True) -> list[str]:
    """What white space separates; with adapt, cut in front of and behind characters of scripts without spaces."""
    out = []
    for token in text.split():
        if not adapt:
            out.append(token)
            continue
        word, last = "", ""
        for char in token:
            if last and (alone(char) or (alone(last) and is_word(char))):
                out.append(word)
                word, last = "", ""
            word += char
            if is_word(char):
                last = char
        out.append(word)
    return out


def spaceless(text: str) -> bool:
    return 2 * sum(alone(c) for c in text) > len(rule_words(text))


def gram_words(text: str) -> list[str]:
    """Runs of letters and digits in lower case, characters of scripts without spaces one by one, marks with their letter."""
    out: list[str] = []
    open_ = False
    for char in text:
        if is_mark(char):
            if (
                re.fullmatch("[\ufe00-\ufe0f\u20dd-\u20e0\u20e2-\u20e4\u0488\u0489\u1abe\ua670-\ua672]", char)
                or ord(char) >= 0xE0000
            ):
                open_ = False
            elif open_:
                out[-1] += char
        elif is_word(char):
            low = char.lower() if len(char.lower()) == 1 else char
            if open_ and not alone(char) and not alone(out[-1][0]):
                out[-1] += low
            else:
                out.append(low)
            open_ = True
        else:
            open_ = False
    return out


def gopher_quality(text: str, adapt: bool = True) -> dict[str, float]:
    words = rule_words(text, adapt)
    n = len(words) or 1
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    stops = {"the", "be", "to", "of", "and", "that", "have", "with"}
    return {
        "words": len(words),
        "word_length": sum(map(len, words)) / n,
        "hash_ratio": text.count("#") / n,
        "ellipsis_ratio": (text.count("...") + text.count("…")) / n,
        "bullet_lines": sum(line[0] in "•‣⁃◦●○▪▫■□▶*-" for line in lines) / (len(lines) or 1),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines) / (len(lines) or 1),
        "alpha_words": sum(any(re.fullmatch(r"[^\W\d_]", c) and not is_mark(c) for c in w) for w in words) / n,
        "stop_words": len(stops & set(gram_words(text))),
    }


def gopher_repetition(text: str, adapt: bool = True) -> dict[str, float]:
    lines = [line.strip() for line in text.split("\n")]
    paragraphs = ["\n".join(p.split("\n")) for p in re.split("\n{2,}", "\n".join(lines).strip("\n")) if p]
    lines = [line for line in lines if line]
    total = sum(map(len, lines)) or 1
    scores = {}
    for name, parts in (("line", lines), ("paragraph", paragraphs)):
        seen: set[str] = set()
        repeated = []
        for part in parts:
            (repeated.append(part) if part in seen else seen.add(part))
        scores[f"dup_{name}s"] = len(repeated) / (len(parts) or 1)
        scores[f"dup_{name}_chars"] = sum(len(p.replace("\n", "")) for p in repeated) / total
    words = gram_words(text)
    step = 2 if adapt and 2 * sum(alone(w[0]) for w in words) > len(words) else 1
    chars = sum(map(len, words)) or 1
    for n in range(2, 11):
        size = n * step
        grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
        counts = Counter(grams)

        def covered(which: set, grams: list = grams, size: int = size) -> int:
            inside = {i for k, g in enumerate(grams) if g in which for i in range(k, k + size)}
            return sum(len(words[i]) for i in inside)

        if n < 5:
            most = max(counts.values(), default=1)
            best = max((covered({g}) for g, c in counts.items() if c == most), default=0) if most > 1 else 0
            scores[f"top_{n}gram"] = best / chars
        else:
            scores[f"dup_{n}gram"] = covered({g for g, c in counts.items() if c > 1}) / chars
    return scores


TERMINAL = ".!?‼⁇⁈⁉…⋯。．！？｡؟۔؞।॥။၊၏።፧፨។៕"
CLOSERS = "\"'＂＇）］｝｣﹂﹄”’»›)]}」』】》〉〕〗〙〛"


def ends_sentence(line: str) -> bool:
    if re.search(r"[\u0e01-\u0e5b\u0e81-\u0edf]$", line):
        return True
    return line.rstrip(CLOSERS)[-1:] in set(TERMINAL)


def fineweb(text: str, adapt: bool = True) -> dict[str, float]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    n = len(lines) or 1
    seen: set[str] = set()
    repeated = 0
    for line in lines:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    width = [len(line) + (sum(map(alone, line)) if adapt else 0) for line in lines]
    chars = len(text.replace("\n", "")) or 1
    words = len(rule_words(text, adapt))
    return {
        "punctuated_lines": sum(line.endswith((".", "'", '"', "!", "?")) or ends_sentence(line) for line in lines) / n,
        "short_lines": sum(w <= 30 for w in width) / n,
        "dup_line_chars": repeated / chars,
        "breaks": text.count("\n") / words if words else 0,
    }


def c4_code(text: str) -> tuple[str, dict[str, int]]:
    """Lines left and page flags of `clean_page`, as-is, without the sentence count."""
    kept = []
    flags = {"lorem_ipsum": 0, "curly_bracket": 0}
    policy = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
    for line in text.split("\n"):
        line = line.strip()
        if any(len(w) > 1000 for w in line.split()):
            continue
        line = re.sub(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", "", line)
        if not line.endswith((".", "?", "!", '"')) or line.endswith("...") or len(line.split()) < 5:
            continue
        low = line.lower()
        if "lorem ipsum" in low:
            flags["lorem_ipsum"] = 1
        if "javascript" in low:
            continue
        if "{" in line and "lorem ipsum" not in low:
            flags["curly_bracket"] = 1
        if any(p in low for p in policy):
            continue
        kept.append(line)
    return "\n".join(kept).strip(), flags
