"""Any life of a dataset: files added, changed and removed, takedowns, rollbacks, other recipes, collections, a refresh
after each; and after each the dataset is what a rebuild from scratch makes of the same sources, recipe, list and arrivals.

`make faults` lives 200 lives; `make test` a few.
"""

import json
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import gc
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.operations.rollback import rollback
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.shards import read_shard
from tests.corpora import WORDS, rows, write_recipe
from tests.faults.serial import LONG, serially

POOL = [d["text"] for d in rows(40, seed=5) if d["text"].strip()]
"""Texts of which many repeat another, exactly or with an edit."""
RECIPES = [
    [{"exact": {}}],
    [{"length": {"min_chars": 20}}, {"exact": {"keep": "longest"}}, {"minhash": {}}],
    [{"length": {"min_chars": 5}}, {"minhash": {"threshold": 0.7}}, {"noise": {"delete": 0.2, "copies": 1}}],
    [{"exact": {}}, {"noise": {"delete": 0.1, "copies": 1}}, {"minhash": {}}],
    [{"minhash": {}}, {"length": {"min_chars": 100}}, {"exact": {}}],
]
SOURCES = [
    {"name": name, "path": f"{name}/*.jsonl", "columns": {"id": "id", "user": "author"}, "max_bad_fraction": 1.0}
    for name in ("web", "mail")
]
pooled = st.integers(0, len(POOL) - 1).map(POOL.__getitem__)
texts = st.one_of(
    pooled,
    st.builds(lambda t, w: t.replace(" ", f" {w} ", 1), pooled, st.sampled_from(WORDS)),
    st.sampled_from(["", "two words", "数据清洗去重语言模型训练文本集合分片", "x" * 30]),
)
names = st.tuples(st.sampled_from(["web", "mail"]), st.integers(0, 4))


def kept(out: Path, number: int | None = None) -> dict[str, tuple[str, ...]]:
    """id -> (text, source, parent or '') of a snapshot's documents; an id twice is an error."""
    found: dict[str, tuple[str, ...]] = {}
    for file in Dataset(out).files(number):
        for batch in read_shard(file):
            for row in batch.to_pylist():
                assert row["id"] not in found, row["id"]
                found[row["id"]] = (row["text"], row["source"], row.get("parent") or "")
    return found


class Life(RuleBasedStateMachine):
    """A folder of sources, a recipe, and the dataset that it makes."""

    def __init__(self) -> None:
        super().__init__()
        # nothing here is about the disk, and the memory's file system answers at once
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.out = self.folder / "out"
        self.files: dict[tuple[str, int], list[dict]] = {}
        self.steps = RECIPES[0]
        self.born = 0
        self.gone: dict[str, set[str]] = {"ids": set(), "users": set(), "sources": set()}
        self.seen: dict[int, dict[str, tuple[str, ...]]] = {}
        """What each snapshot held when it was made."""

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _recipe(self) -> Path:
        return write_recipe(
            self.folder, self.steps, sources=SOURCES, output={"path": "out", "shard_bytes": 1024}, seed=3
        )

    def _write(self, name: tuple[str, int], texts: list[str | None]) -> None:
        docs = []
        for text in texts:
            docs.append({"id": f"d{self.born:04d}", "text": text, "author": f"u{self.born % 3}"})
            self.born += 1
        path = self.folder / name[0] / f"part-{name[1]}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(d) + "\n" for d in docs))
        self.files[name] = docs

    def _refresh(self) -> None:
        """Run, and compare with a rebuild."""
        recipe = self._recipe()
        result = run(load(recipe), workers=1)
        documents = kept(self.out)
        self.seen[result.snapshot] = documents
        # the same from scratch, with nothing but the sources, the recipe, what was taken out, and what came first
        fresh = self.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        if suppression.numbers(str(self.out)):
            shutil.copytree(self.out / suppression.FOLDER, fresh / suppression.FOLDER)
        again = run(load(recipe, ["output.path=fresh"]), workers=1, arrivals=str(self.out))
        assert kept(fresh) == documents
        assert again.manifest["content"] == result.manifest["content"]
        assert again.manifest["funnel"] == result.manifest["funnel"]
        assert not run(load(recipe), workers=1).committed
        self._sound(result.manifest, documents)

    def _sound(self, manifest: dict, documents: dict[str, tuple[str, ...]]) -> None:
        """Every snapshot verifies and is what it was; rows add up; nothing that was taken out is there."""
        dataset = Dataset(self.out)
        for number in dataset.numbers:
            assert dataset.verify(number) == [], number
        funnel = manifest["funnel"]
        assert funnel["rows_in"] == sum(map(len, self.files.values()))
        lost = sum(n for s in funnel["steps"] for n in s["dropped"].values())
        made = sum(s["derived"] for s in funnel["steps"])
        assert funnel["rows_in"] + made == len(documents) + lost + funnel["quarantined"]
        named = [d for f in self.files.values() for d in f]
        users = {d["id"]: d["author"] for d in named}
        for i, (_, source, parent) in documents.items():
            assert source not in self.gone["sources"]
            assert not {i, parent} & self.gone["ids"]
            assert users.get(parent or i) not in self.gone["users"]

    @initialize(first=st.lists(texts, min_size=2, max_size=6), second=st.lists(texts, min_size=1, max_size=6))
    def begin(self, first: list[str], second: list[str]) -> None:
        """Two files, one in each source."""
        self._write(("web", 0), first)
        self._write(("mail", 0), second)
        self._refresh()

    @rule(name=names, texts=st.lists(texts | st.none(), max_size=6))
    def add_or_change(self, name: tuple[str, int], texts: list[str | None]) -> None:
        """A file that was not there, or other content of one that was; a null is a bad row."""
        self._write(name, texts)
        self._refresh()

    @rule(name=names, other=names)
    def copy(self, name: tuple[str, int], other: tuple[str, int]) -> None:
        """The texts of a file come again under other ids, in either source."""
        if name in self.files:
            self._write(other, [d["text"] for d in self.files[name]])
            self._refresh()

    @precondition(lambda self: len(self.files) > 2)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """A file is gone; one of each source stays, for a source without files is an error."""
        left = [n for n in sorted(self.files) if sum(k[0] == n[0] for k in self.files) > 1]
        if left:
            name = data.draw(st.sampled_from(left))
            del self.files[name]
            (self.folder / name[0] / f"part-{name[1]}.jsonl").unlink()
            self._refresh()

    @rule(number=st.integers(0, len(RECIPES) - 1))
    def other_recipe(self, number: int) -> None:
        """Other steps, or the same."""
        self.steps = RECIPES[number]
        self._refresh()

    @rule(data=st.data(), what=st.sampled_from(["ids", "ids", "ids", "users", "child"]), purge=st.booleans())
    def takedown(self, data: st.DataObject, what: str, purge: bool) -> None:
        """Some documents, all of a user, or a child that a step made, kept or not; with purge, out of the past, too."""
        documents = kept(self.out)
        if what == "child":
            pool, what = sorted(i for i, d in documents.items() if d[2]), "ids"
        elif what == "users":
            pool = ["u0", "u1", "u2", "nobody"]
        else:
            pool = sorted(d["id"] for f in self.files.values() for d in f) or ["nothing"]
        if not pool:
            return
        asked = tuple(data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True)))
        forget(str(self.out), Takedown(**{what: asked}, purge=purge), load(self._recipe()), workers=1)
        self.gone[what].update(asked)
        dataset = Dataset(self.out)
        if purge:
            self.seen = {n: self._held(kept(self.out, n)) for n in dataset.numbers}
        self._refresh()

    def _held(self, documents: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        assert not any({i, d[2]} & self.gone["ids"] for i, d in documents.items())
        return documents

    @precondition(lambda self: len(Dataset(self.out).numbers) > 1)
    @rule(data=st.data())
    def back(self, data: st.DataObject) -> None:
        """An older snapshot again, without what was taken out since; then what the recipe gives."""
        number = data.draw(st.sampled_from(Dataset(self.out).numbers[:-1]))
        older = self.seen[number]
        manifest = rollback(str(self.out), number)
        documents = kept(self.out)
        self.seen[manifest["number"]] = documents
        assert set(documents.items()) <= set(older.items())
        assert documents == older or suppression.numbers(str(self.out))
        assert not any({i, d[2]} & self.gone["ids"] for i, d in documents.items())
        assert Dataset(self.out).verify() == []
        self._refresh()

    @rule(keep=st.integers(1, 3))
    def collect(self, keep: int) -> None:
        """Old snapshots go; the newest are what they were, and cost nothing to make again."""
        gc.collect(str(self.out), keep)
        numbers = Dataset(self.out).numbers
        assert len(numbers) <= keep
        for number in numbers:
            assert kept(self.out, number) == self.seen[number]
        with mock.patch("tests.faults.serial.execute", side_effect=AssertionError("done before")):
            assert not run(load(self._recipe()), workers=1).committed
        self._refresh()


@pytest.mark.slow
def test_any_life_equals_a_rebuild():
    wanted = settings(
        max_examples=200 if LONG else 5,
        stateful_step_count=8,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with serially():
        run_state_machine_as_test(Life, settings=wanted)
