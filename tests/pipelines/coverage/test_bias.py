"""How a snapshot speaks of people, and what its filters drop."""

import json

import numpy as np

from corpusmill.pipelines.coverage.bias import measure
from corpusmill.transforms.people.disparity import Table, judged
from corpusmill.transforms.people.lexicon import load
from tests.command import invoke, invoke_json
from tests.pipelines.coverage.corpus import make

RATES = {"she": 0.3, "he": 0.5, "muslim": 0.05, "wheelchair": 0.02}
GROUPS = {"she": "gender.female", "he": "gender.male", "muslim": "religion.muslim", "wheelchair": "disability.disabled"}


def documents(n: int, seed: int = 0, dialect: float = 0.2) -> list[dict[str, str]]:
    """Documents in which each word of RATES occurs at its rate; a share is in Scottish English, and short or long at random."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        said = [w for w, rate in RATES.items() if rng.random() < rate]
        if rng.random() < dialect:
            said.append("aye")
        filler = ["table", "river", "stone", "cloud"] * (1 if rng.random() < 0.3 else 3)
        made.append({"id": f"{seed}-{i}", "text": f"The {' and '.join([*said, *filler])}. Number {i}.", "lang": "en"})
    return made


def test_every_planted_rate_is_in_its_interval(tmp_path):
    found = measure(make(tmp_path, documents(3000)), None, None, load(), 50_000, filters=False)
    rates = {m.group: m.here for m in found.mentions}
    assert found.documents == 3000
    for word, rate in RATES.items():
        assert rates[GROUPS[word]].low <= rate <= rates[GROUPS[word]].high


def test_a_rule_that_drops_a_dialect_is_flagged_and_one_that_does_not_is_not(tmp_path, monkeypatch):
    fair = [{"sample": {"fraction": 0.7}}]
    (tmp_path / "own.py").write_text("def no_aye(text: str) -> bool:\n    return ' aye ' not in text\n")
    steps = [{"text-filter": {"call": "own:no_aye"}}]
    monkeypatch.syspath_prepend(str(tmp_path))
    biased = measure(make(tmp_path / "a", documents(1500), steps=steps), None, None, load(), 50_000)
    flagged = [d for d in biased.disparities if d.flagged]
    assert {d.group for d in flagged} == {"dialect.scottish_english"}
    assert flagged[0].dropped == flagged[0].came
    honest = measure(make(tmp_path / "b", documents(1500), steps=fair), None, None, load(), 50_000)
    assert honest.disparities
    assert not [d for d in honest.disparities if d.flagged]


def test_false_alarms_of_a_whole_table_stay_at_the_level_over_200_seeds():
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = {f"g{k}": rng.random(800) < rate for k, rate in enumerate((0.05, 0.1, 0.2, 0.3, 0.5))}
        fates = np.where(rng.random(800) < 0.15, 0, np.where(rng.random(800) < 0.1, 1, 2))
        table = Table([("one", "rule"), ("two", "rule")], fates, groups)
        alarms += any(d.p < 0.05 for d in judged(table, ["one", "two"]))
    assert alarms <= 0.05 * 200 + 2 * (0.05 * 0.95 * 200) ** 0.5


def test_a_reference_is_compared(tmp_path):
    here = make(tmp_path / "a", documents(800))
    other = [d | {"text": d["text"].replace("she", "tree")} for d in documents(800, seed=1)]
    found = measure(here, None, make(tmp_path / "b", other), load(), 50_000, filters=False)
    by_group = {m.group: m for m in found.mentions}
    assert by_group["gender.female"].p < 0.001
    assert by_group["religion.muslim"].p > 0.05


def test_the_same_figures_for_any_sharding(tmp_path):
    steps = [{"sample": {"fraction": 0.6}}]
    made = documents(600)
    first = measure(make(tmp_path / "a", made, steps=steps), None, None, load(), 300).to_dict()
    second = measure(
        make(tmp_path / "b", made[::-1], files=4, steps=steps, workers=2), None, None, load(), 300
    ).to_dict()
    first.pop("path")
    second.pop("path")
    assert json.dumps(first) == json.dumps(second)


def test_equal_documents_of_one_id_are_dropped_as_often_as_they_were(tmp_path):
    made = [{"text": t, "lang": "en"} for t in ["She is here.", "He is there.", "It rains."] for _ in range(20)]
    (tmp_path / "raw").mkdir(parents=True)
    import corpusmill
    from corpusmill.pipelines.dataset.snapshot import Dataset

    (tmp_path / "raw/a.jsonl").write_text("".join(json.dumps(m) + "\n" for m in made))
    source = {"name": "t", "path": str(tmp_path / "raw/*.jsonl")}
    corpusmill.run({"name": "t", "sources": [source], "steps": ["exact"], "output": str(tmp_path / "out")})
    found = measure(Dataset(tmp_path / "out"), None, None, load(), 50_000)
    assert found.dropped.lost == 0
    assert {(d.dropped, d.came) for d in found.disparities if d.group == "gender.female"} == {(19, 20)}


def test_the_verb_says_what_it_cannot_show(tmp_path):
    dataset = make(tmp_path, documents(400), steps=[{"sample": {"fraction": 0.6}}])
    page = tmp_path / "bias.html"
    shown = invoke("bias", dataset.path, "--html", str(page)).output
    assert "What this cannot show" in shown
    assert "gender.female" in shown
    assert "no verdict" in page.read_text()
    assert invoke_json("bias", dataset.path, "--no-filters")["limits"]
    refused = invoke("bias", dataset.path, "--lexicon", str(tmp_path / "absent.yaml"))
    assert refused.exit_code
    assert "absent.yaml" in refused.output
