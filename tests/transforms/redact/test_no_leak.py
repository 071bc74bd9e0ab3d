"""A whole run over the labelled fixture: no value of it remains in any file of the dataset, nor in what is printed."""

import json

import pyarrow.parquet as pq
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from tests.transforms.redact.fixture import fixture

RECIPE = """
name: letters
seed: 1
sources:
  - {name: letters, path: letters.jsonl}
steps:
  - redact: {replace_by: pseudonym}
  - noise: {delete: 0.05, swap: 0.05}
output: {path: out, format: parquet}
"""


def test_nothing_is_left_anywhere(tmp_path, monkeypatch) -> None:
    key = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("CORPUSMILL_REDACT_KEY", key)
    documents = fixture(each=30)
    rows = [json.dumps({"id": f"d{i}", "text": d.text}, ensure_ascii=False) for i, d in enumerate(documents)]
    (tmp_path / "letters.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    result = CliRunner().invoke(cli, ["run", str(tmp_path / "recipe.yaml")])
    assert result.exit_code == 0, result.output
    values = {v for d in documents for _, v in d.values}
    assert len(values) > 200
    texts = [("output", result.output)]
    for path in sorted((tmp_path / "out").rglob("*")):
        if path.is_file():
            texts.append((str(path), path.read_bytes().decode("utf-8", "replace")))
            if path.suffix == ".parquet":
                texts.append((str(path), json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str)))
    found = [(place, value) for place, text in texts for value in [*values, key] if value in text]
    assert not found
    shards = [p for p in (tmp_path / "out").rglob("*.parquet") if pq.read_schema(p).get_field_index("derived_by") >= 0]
    assert shards
