import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.beam import provider
from corpusmill.transforms.clean.clean import Clean
from corpusmill.transforms.errors import BadFileError, RecipeError
from tests.corpora import rows, write_shards


def test_every_map_filter_and_expand_is_provided():
    (entry,) = provider.provider()
    assert entry["type"] == "python"
    assert {"CorpusmillClean", "CorpusmillGopherQuality", "CorpusmillNoise"} <= set(entry["transforms"])
    assert "CorpusmillExact" not in entry["transforms"]


def test_what_needs_other_shards_is_refused_and_does_not_pass_them():
    for name in ("exact", "minhash", "mix"):
        with pytest.raises(RecipeError, match=f"{name} needs rows of other shards"):
            getattr(provider, name)("kept")
    with pytest.raises(RecipeError, match="quality needs rows of other shards"):  # with an exact share it is a group
        provider.quality("kept", model="scorer", keep={"top": 0.5})


def test_a_shard_that_is_none_is_named(tmp_path):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    work = provider._Through(Clean(), str(tmp_path / "out"), 1)
    for path in (tmp_path / "torn.parquet", tmp_path / "none.parquet"):
        with pytest.raises(
            BadFileError,
            match=rf"^{path}: (cannot be read|the file is missing).*To go on: name a Parquet or Arrow file",
        ):
            list(work.process(provider.Shard(str(path), 0, 0)))


def test_a_yaml_pipeline_cleans_and_filters_shards(tmp_path):
    pytest.importorskip("docstring_parser", reason="apache-beam[yaml] is not installed")
    import apache_beam as beam
    import yaml
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.yaml.yaml_provider import parse_providers
    from apache_beam.yaml.yaml_transform import YamlTransform

    docs = [{**d, "source": "raw"} for d in rows(40)]
    path = write_shards(tmp_path / "raw", docs, 1)[0]
    table = pq.read_table(path)
    pq.write_table(table.append_column("source", [["raw"] * table.num_rows]), path)
    spec = {
        "type": "chain",
        "transforms": [
            {"type": "Create", "config": {"elements": [{"path": str(path), "rows": 40, "bytes": 0}]}},
            {"type": "CorpusmillClean", "config": {"folder": str(tmp_path / "cleaned")}},
            {"type": "CorpusmillGopherQuality", "config": {"folder": str(tmp_path / "kept"), "min_words": 5}},
        ],
    }
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | YamlTransform(yaml.safe_dump(spec), providers=parse_providers("", provider.provider()))
    (out,) = (tmp_path / "kept").glob("*.parquet")
    assert 0 < pq.read_table(out).num_rows < 40
