"""The handler in Beam's RunInference: the same results for batch sizes 1, 7 and 64 and for 1 and 2 workers."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from corpusmill.training.serving.handler import Handler
from corpusmill.transforms.generate.cache import RequestCache
from corpusmill.transforms.generate.model import digest_of, open_model
from tests.training.serving.test_local_model import decoder, requests  # noqa: F401


def ran(handler: Handler, items: list, folder: Path, workers: int = 1) -> tuple[list[str], dict[str, int]]:
    """Sorted lines of what RunInference gave, and the counters."""
    out = str(folder / f"out-{len(list(folder.glob('out-*')))}")
    options = PipelineOptions([f"--direct_num_workers={workers}", "--direct_running_mode=in_memory"])
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
    results = pipeline | beam.Create(items, reshuffle=False) | beam.Reshuffle() | RunInference(handler)
    lines = results | beam.Map(lambda r: f"{getattr(r.example, 'record', r.example)}\t{r.inference!r}\t{r.model_id}")
    _ = lines | beam.io.WriteToText(out, num_shards=1, shard_name_template="")
    run = pipeline.run()
    run.wait_until_finish()
    counters = {
        c.key.metric.name: c.committed
        for c in run.metrics().query()["counters"]
        if c.key.metric.namespace == "corpusmill"
    }
    return sorted(Path(out).read_text().splitlines()), counters


def test_same_results_for_batches_and_workers(decoder: str, tmp_path: Path) -> None:  # noqa: F811
    asked = requests(20)
    wanted, counters = ran(Handler(decoder, batch=64), asked, tmp_path)
    assert len(wanted) == 20
    assert counters["records"] == 20
    assert counters["written_tokens"] > 20
    assert counters["padded_tokens"] >= counters["tokens"] > 0
    for batch, workers in ((1, 1), (7, 2)):
        assert ran(Handler(decoder, batch=batch), asked, tmp_path, workers)[0] == wanted


def test_scores_through_run_inference(decoder: str, tmp_path: Path) -> None:  # noqa: F811
    lines, _ = ran(Handler(decoder, "score", batch=2), ["the red fox", "数据 很 好", "the"], tmp_path)
    assert len(lines) == 3
    assert all(float(line.split("\t")[1]) >= 0 for line in lines)


def test_a_repeated_run_asks_nothing(decoder: str, tmp_path: Path) -> None:  # noqa: F811
    asked, path = requests(12), str(tmp_path / "requests.sqlite")
    first = ran(Handler(decoder, batch=5, cache=path), asked, tmp_path)[0]
    cache = RequestCache.at(path)
    assert cache.asked == 12 == len(cache)
    assert ran(Handler(decoder, batch=3, cache=path), asked, tmp_path, 2)[0] == first
    assert cache.asked == 12


def test_one_copy_a_process(decoder: str) -> None:  # noqa: F811
    assert Handler(decoder).load_model() is Handler(decoder, "score").load_model() is open_model(decoder)
    assert open_model(decoder).digest == digest_of(decoder)


@pytest.mark.parametrize("size", [1, 7])
def test_batches_have_a_fixed_size(decoder: str, size: int) -> None:  # noqa: F811
    assert Handler(decoder, batch=size).batch_elements_kwargs() == {"min_batch_size": size, "max_batch_size": size}
