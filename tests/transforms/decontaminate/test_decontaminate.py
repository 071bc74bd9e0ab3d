import json
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.decontaminate.decontaminate import Decontaminate
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.random import Keyed

ITEM = "a train leaves the station at noon and travels north at sixty miles an hour until it meets another"
SHORT = "who wrote the winter tale"
ZH = "一列火车中午从车站出发以每小时六十英里的速度向北行驶"


@pytest.fixture
def sets(tmp_path) -> dict[str, str]:
    (tmp_path / "trains.txt").write_text(f"{ITEM}\n{ZH}\n")
    (tmp_path / "plays.jsonl").write_text(json.dumps({"id": "q7", "question": SHORT}) + "\n")
    return {"trains": str(tmp_path / "trains.txt"), "plays": str(tmp_path / "plays.jsonl")}


def batch_of(texts: list) -> pa.RecordBatch:
    ids = [f"d{i}" for i in range(len(texts))]
    return pa.record_batch({"id": ids, "text": pa.array(texts, pa.string()), "source": ["s"] * len(texts)})


TEXTS = [
    "Nothing of the kind stands here, although a train leaves the station.",
    f"Q: {ITEM.upper()}? A: yes",
    f"{textwrap.fill(ITEM, 20)} -- {SHORT}!",
    f"问题：{ZH}。",
    "",
    None,
    "  \n",
    SHORT,
]


def test_drop(sets: dict[str, str]) -> None:
    t = Decontaminate(sets=sets)
    verdict = t.judge(batch_of(TEXTS), Keyed())
    assert verdict.reasons == ("trains", "plays")
    assert verdict.codes.tolist() == [-1, 0, 0, 0, -1, -1, -1, 1]
    assert verdict.values[[1, 7]].tolist() == [1.0, 1.0]
    assert verdict.scores["plays"].tolist() == [0, 0, 1, 0, 0, 0, 0, 1]
    assert t(batch_of(TEXTS)).column("id").to_pylist() == ["d0", "d4", "d5", "d6"]


def test_cut(sets: dict[str, str]) -> None:
    t = Decontaminate(sets=sets, action="cut")
    out = t(batch_of(TEXTS)).to_pydict()
    assert dict(zip(out["id"], out["text"], strict=True)) == {
        "d0": TEXTS[0], "d1": "Q: ? A: yes", "d3": "问题：。", "d4": "", "d5": None, "d6": "  \n",
    }  # fmt: skip
    clean = batch_of([TEXTS[0]])
    assert t(clean).equals(clean)


def test_cut_joins_over_changed_words(sets: dict[str, str]) -> None:
    words = (ITEM + " " + ITEM).split()
    words[17] = "CHANGED"
    t = Decontaminate(sets=sets, action="cut", ngram=8)
    assert t(batch_of([f"before {' '.join(words)} after"])).column("text").to_pylist() == ["before  after"]


def test_cut_of_a_stretch_within_another(tmp_path) -> None:
    """A short column of an item may repeat words of its long one."""
    pq.write_table(pa.table({"question": ["d e f"], "answer": ["a b c d e f g h"]}), tmp_path / "s.parquet")
    fields = {"sets": {"s": str(tmp_path / "s.parquet")}, "columns": ("question", "answer"), "ngram": 6, "min_words": 3}
    got = Decontaminate(action="cut", **fields)(batch_of(["x a b c d e f g h y", "d e f x", "a b c d e f d e f z"]))
    assert got.column("text").to_pylist() == ["x  y", " x", " z"]


def test_tag(sets: dict[str, str]) -> None:
    out = Decontaminate(sets=sets, action="tag")(batch_of(TEXTS))
    assert out.column("contaminated_by").to_pylist() == [
        [], ["trains:1"], ["trains:1", "plays:q7"], ["trains:2"], [], [], [], ["plays:q7"],
    ]  # fmt: skip
    assert out.column("text").to_pylist() == TEXTS


def test_short_items_are_found_down_to_min_words(sets: dict[str, str], tmp_path) -> None:
    with open(sets["plays"], "a") as file:
        file.write(json.dumps({"id": "q8", "question": ITEM}) + "\n")
    longer = Decontaminate(sets=sets, min_words=6)
    assert longer(batch_of([SHORT])).num_rows == 1
    nothing = pa.table({"id": pa.array([], pa.string()), "contaminated_by": pa.array([], pa.string())})
    assert longer.report(nothing).column("items_skipped").to_pylist() == [0, 1]
    assert Decontaminate(sets=sets, min_words=5)(batch_of([SHORT])).num_rows == 0
    assert Decontaminate(sets=sets, ngram=3)(batch_of(["the winter tale"])).num_rows == 0


def test_rows_do_not_depend_on_their_batch(sets: dict[str, str]) -> None:
    for action in ("drop", "cut", "tag"):
        t = Decontaminate(sets=sets, action=action)
        whole = t(batch_of(TEXTS))
        parts = [t(batch_of(TEXTS).slice(i, 1)) for i in range(len(TEXTS))]
        assert pa.Table.from_batches(parts).to_pylist() == whole.to_pylist()
        empty = t(batch_of(TEXTS).slice(0, 0))
        assert empty.schema == whole.schema


def test_report_of_the_side_table(sets: dict[str, str]) -> None:
    batch = batch_of(TEXTS)
    parts = []
    for piece in (batch.slice(0, 4), batch.slice(4, 2), batch.slice(6)):
        scores = Decontaminate(sets=sets).judge(piece, Keyed()).scores
        parts.append(pa.table({"id": piece.column("id"), "contaminated_by": pa.array(scores["contaminated_by"])}))
    t = Decontaminate(sets=sets)
    report = t.report(pa.concat_tables(parts)).to_pylist()
    expected = [
        {"set": "trains", "items": 2, "items_skipped": 0, "items_hit": 2, "documents": 3, "ids": ["d1", "d2", "d3"]},
        {"set": "plays", "items": 1, "items_skipped": 0, "items_hit": 1, "documents": 2, "ids": ["d2", "d7"]},
    ]
    assert report == expected
    tagged = pa.Table.from_batches([Decontaminate(sets=sets, action="tag")(batch)])
    assert t.report(tagged).to_pylist() == expected


def test_content_of_the_sets_is_in_the_fingerprint(sets: dict[str, str], tmp_path) -> None:
    t = Decontaminate(sets=sets)
    before = t.fingerprint()
    (tmp_path / "trains.txt").write_text("another item of more than five words\n")
    assert t.fingerprint() != before
    assert t(batch_of([ITEM])).num_rows == 1


def test_mistakes_are_told(sets: dict[str, str], tmp_path) -> None:
    for fields in (
        {},
        {"sets": {}},
        {"sets": {"a:b": "x.txt"}},
        {"sets": sets, "action": "mark"},
        {"sets": sets, "ngram": 0},
    ):
        with pytest.raises(RecipeError):
            Decontaminate(**fields)
    (tmp_path / "tiny.txt").write_text("two words\n")
    for path in ("tiny.txt", "absent.txt"):
        with pytest.raises(BadFileError, match=path):
            Decontaminate(sets={"x": str(tmp_path / path)})(batch_of([ITEM]))


def ways(text: str) -> dict[str, str]:
    words = text.split()
    return {
        "verbatim": text,
        "re-cased": text.upper(),
        "re-wrapped": textwrap.fill(text, 31, initial_indent="> ", subsequent_indent="> "),
        "changed": " ".join("altered" if i % 20 == 19 else w for i, w in enumerate(words)),
    }


def test_planted_contamination(data, tmp_path) -> None:
    """200 real evaluation items in 4 ways among real documents: recall by way, and precision."""
    questions = pq.read_table(data / "labelled/gsm8k.parquet", columns=["id", "question"]).slice(0, 200)
    pq.write_table(questions, tmp_path / "gsm8k.parquet")
    documents = next(pq.ParquetFile(data / "corpus/part-00000.parquet").iter_batches(1600, columns=["id", "text"]))
    hosts = documents.column("text").to_pylist()
    texts, planted = hosts[800:], [None] * 800
    for n, (item, question) in enumerate(zip(*questions.to_pydict().values(), strict=True)):
        for k, (way, text) in enumerate(ways(question).items()):
            host = hosts[4 * n + k]
            middle = len(host) // 2
            texts.append(f"{host[:middle]}\n{text}\n{host[middle:]}")
            planted.append((way, f"gsm8k:{item}"))
    t = Decontaminate(sets={"gsm8k": str(tmp_path / "gsm8k.parquet")}, action="tag")
    tags = t(batch_of(texts)).column("contaminated_by").to_pylist()
    recall = {
        way: sum(p is not None and p[0] == way and p[1] in found for p, found in zip(planted, tags, strict=True)) / 200
        for way in ways("")
    }
    flagged = sum(map(bool, tags))
    precision = sum(bool(found) and p is not None for p, found in zip(planted, tags, strict=True)) / flagged
    print(f"\nrecall {recall}, precision {precision:.3f}")
    assert recall["verbatim"] == recall["re-cased"] == recall["re-wrapped"] == 1.0
    assert recall["changed"] >= 0.95
    assert precision == 1.0


def test_a_cut_joins_no_words(tmp_path):
    item = "汉字测试文本重复内容很多很多文字在这里面"
    (tmp_path / "items.txt").write_text(item)
    texts = [f"foo{item}bar", f"foo {item} bar", f"第{item}章", f"é{item}", f"x-{item}-y", f"𝒂{item}𝒃"]
    batch = pa.record_batch({"id": [str(i) for i in range(6)], "text": texts})
    step = Decontaminate(sets={"i": str(tmp_path / "items.txt")}, action="cut")
    expected = ["foo bar", "foo  bar", "第章", "é", "x--y", "𝒂 𝒃"]
    assert step(batch).column("text").to_pylist() == expected
    assert step(batch.slice(3)).column("text").to_pylist() == expected[3:]
