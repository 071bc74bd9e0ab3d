"""Small corpora and recipes for tests, the same in every run."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

WORDS = (
    "the of and to in that have with shard document corpus model token filter index cluster river mountain garden window "
    "letter market engine signal pattern winter summer bridge copper silver music doctor teacher student kitchen journey "
    "island forest desert castle tower anchor harvest lantern compass voyage theory method result proof sample measure"
).split()
HAN = "数据清洗去重语言模型训练文本集合分片过滤索引聚类河流山脉花园窗户信件市场引擎信号模式冬天夏天桥梁铜银音乐医生教师学生厨房旅程"


def sentence(rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(WORDS, k=n)).capitalize() + "."


def document(rng: random.Random, i: int) -> str:
    """English, every seventh Chinese, every eleventh very short, every thirteenth blank."""
    if i % 13 == 12:
        return rng.choice(["", " ", "\n\n", "!!! ???"])
    if i % 11 == 10:
        return " ".join(rng.choices(WORDS, k=2))
    if i % 7 == 6:
        return "".join(rng.choices(HAN, k=rng.randint(80, 200))) + "。"
    return "\n".join(sentence(rng, rng.randint(8, 16)) for _ in range(rng.randint(4, 14)))


def rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """n documents with ids; one in five repeats an earlier one exactly, one in five with an edit."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = []
    for i in range(n):
        text = document(rng, i)
        if made and i % 5 == 3:
            text = rng.choice(made)["text"]
        elif made and i % 5 == 4:
            words = rng.choice(made)["text"].split(" ")
            words[rng.randrange(len(words))] = "edited"
            text = " ".join(words)
        made.append({"id": f"{seed}-{i:05d}", "text": text, "year": 2000 + i % 7 if i % 3 else None})
    return made


def write_shards(folder: Path, docs: list[dict[str, Any]], shards: int, first: int = 0) -> list[Path]:
    """The documents in Parquet files, dealt out in turn, so that duplicates lie in different shards."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("year", pa.int64())])
    paths = []
    for s in range(shards):
        path = folder / f"part-{first + s:03d}.parquet"
        pq.write_table(pa.Table.from_pylist(docs[s::shards], schema), path)
        paths.append(path)
    return paths


def write_recipe(folder: Path, steps: list[Any], **changes: Any) -> Path:
    """A recipe over `raw/*.parquet` of the folder, into `out`."""
    recipe = {
        "name": "test",
        "seed": 1,
        "sources": [{"name": "raw", "path": "raw/*.parquet", "columns": {"id": "id"}}],
        "steps": steps,
        "output": {"path": "out", "shard_bytes": 1 << 18},
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def write_tokenizer(folder: Path, docs: list[dict[str, Any]], vocab_size: int = 600) -> Path:
    """A byte-level tokenizer of these documents, in `tokenizer.json` of the folder."""
    from corpusmill.transforms.random import Keyed
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    path = folder / "tokenizer.json"
    batch = pa.record_batch({"id": [d["id"] for d in docs], "text": [d["text"] for d in docs]})
    train_tokenizer([batch], str(path), vocab_size=vocab_size, rng=Keyed(1))
    return path
