import pyarrow as pa

from corpusmill.transforms.document import derived_ids, text_ids


def test_ids_are_golden_and_follow_from_source_and_text():
    texts = pa.array(["hello", "", "中文 text"])
    assert text_ids("s", texts).to_pylist()[0] == "e334a0825a50ead37c8ec472472c407a"
    assert text_ids("s", texts).to_pylist() == text_ids("s", texts.take(pa.array([0, 1, 2]))).to_pylist()
    assert not set(text_ids("s", texts).to_pylist()) & set(text_ids("t", texts).to_pylist())
    assert len(set(text_ids("s", texts).to_pylist())) == 3


def test_derived_ids_differ_by_parent_derivation_and_number():
    parents = pa.array(["a", "b"])
    every = [derived_ids(parents, d, n).to_pylist() for d in ("noise", "eda") for n in (0, 1)]
    assert len({i for ids in every for i in ids}) == 8
