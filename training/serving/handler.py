"""Models for Beam's RunInference: our checkpoints, Hugging Face folders and text APIs behind one handler.

    requests | RunInference(Handler("runs/teacher"))                  Request -> PredictionResult(request, text)
    texts | RunInference(Handler("runs/classifier", "classify"))      text -> PredictionResult(text, logits float64 [classes])
    texts | RunInference(Handler("runs/model", "score"))              text -> PredictionResult(text, bits per byte)

Beam's own PyTorch handlers stack tensors, so ragged inputs crash, and load weights by pickle. This one pads by length bucket
and reads safetensors. A record's result is the same to the last bit however Beam batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

import corpusmill.training.serving.openers  # noqa: F401
from corpusmill.transforms.generate.model import Model, Request, open_model

Task = Literal["complete", "classify", "score"]
NAMESPACE = "corpusmill"


class Handler(ModelHandler[Any, PredictionResult, Model]):
    """One model a process, shared by its threads (`open_model`), with counters of records, tokens and padding.

    spec: as `corpusmill.transforms.generate.model` describes. batch: elements that Beam hands over at most at once. cache:
    file of the request cache (`complete` only): what was asked once is not asked again, in this run or a later one.
    """

    def __init__(self, spec: str, task: Task = "complete", batch: int = 64, cache: str | None = None) -> None:
        self._spec, self._task, self._batch, self._cache = spec, task, batch, cache
        super().__init__()

    def load_model(self) -> Model:
        return open_model(self._spec)

    def run_inference(
        self, batch: Sequence[Any], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        usage = getattr(model, "usage", None)
        before = (usage.tokens, usage.padded, usage.written) if usage else (0, 0, 0)
        results = self._ask(list(batch), model)
        Metrics.counter(NAMESPACE, "records").inc(len(batch))
        if usage:
            for name, was, now in zip(("tokens", "padded_tokens", "written_tokens"), before, _figures(usage)):
                Metrics.counter(NAMESPACE, name).inc(now - was)
        return [PredictionResult(one, result, model.digest) for one, result in zip(batch, results)]

    def _ask(self, batch: list[Any], model: Model) -> Any:
        if self._task == "classify":
            return model.classify(batch)
        if self._task == "score":
            nats, size = model.score(batch)
            return [n / math.log(2) / max(s, 1.0) for n, s in zip(nats.tolist(), size.tolist())]
        requests: list[Request] = batch
        if self._cache is None:
            return model.complete(requests)
        from corpusmill.transforms.generate.cache import RequestCache

        return RequestCache.at(self._cache).complete(model, requests)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """A fixed size: Beam's own choice follows the wall clock."""
        return {"min_batch_size": self._batch, "max_batch_size": self._batch}

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        return sum(len((b.prompt if isinstance(b, Request) else b).encode()) for b in batch)

    def get_metrics_namespace(self) -> str:
        return NAMESPACE

    def share_model_across_processes(self) -> bool:
        """Each process has its own copy: weights are mapped, and a remote model is only a client."""
        return False


def _figures(usage: Any) -> tuple[int, int, int]:
    return usage.tokens, usage.padded, usage.written
