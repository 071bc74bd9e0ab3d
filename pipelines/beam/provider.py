"""Our transforms in Beam's YAML: a provider of `type: python`, generated from the models.

    python -m corpusmill.pipelines.beam.provider > corpusmill-provider.yaml

A row of such a pipeline is a shard (`Shard`: path, rows, bytes). Each transform reads the file and writes another below
`folder`. Documents do not pass through Beam's rows, because these are Python objects.

    pipeline:
      type: chain
      transforms:
        - {type: Create, config: {elements: [{path: raw/a.parquet, rows: 0, bytes: 0}]}}
        - {type: CorpusmillClean, config: {folder: cleaned}}
        - {type: CorpusmillGopherQuality, config: {folder: kept, min_words: 30}}
    providers:
      - include: corpusmill-provider.yaml
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam

from corpusmill.pipelines.beam.steps import check_alone
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.recipe.model import Step, make_steps
from corpusmill.pipelines.recipe.registry import load, usable
from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.base import Expand, Filter, Map, Transform
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.shards import ShardWriter, read_shard, shard_schema
from corpusmill.transforms.sources.schema import conform


class Shard(NamedTuple):
    """A file of documents: its path, documents, and bytes of text."""

    path: str
    rows: int
    bytes: int


class ShardStep(beam.PTransform):
    """Maps shards to shards through one transform. The path of a result follows from the shard's path, the transform
    and the seed, so a retried bundle writes the same file again.

    Raises:
        RecipeError: the transform is not a map, filter or expand.
    """

    def __init__(self, transform: Transform, folder: str, seed: int = 1) -> None:
        super().__init__()
        check_alone(transform)
        self._transform, self._folder, self._seed = transform, folder, seed

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """One ParDo."""
        return shards | "shards" >> beam.ParDo(_Through(self._transform, self._folder, self._seed)).with_output_types(
            Shard
        )

    def display_data(self) -> dict[str, Any]:
        """The transform with its fields, the folder and the seed."""
        fields = json.dumps(self._transform.model_dump(mode="json", exclude_defaults=True))
        return {"transform": self._transform.name, "fields": fields, "folder": self._folder, "seed": self._seed}


class _Through(beam.DoFn):
    def __init__(self, transform: Transform, folder: str, seed: int) -> None:
        self._steps: list[Step] = make_steps([transform.resolved(os.getcwd())])
        self._folder, self._seed = folder, seed

    def process(self, shard: Any) -> Iterator[Shard]:
        fingerprint = self._steps[0].transform.fingerprint()
        digest = hashlib.sha256(f"{shard.path}\0{fingerprint}\0{self._seed}".encode()).hexdigest()[:16]
        path = os.path.join(self._folder, f"{digest}.parquet")
        chain = Chain(self._steps, self._seed, shard.path)
        try:
            schema = shard_schema(shard.path)
        except BadFileError as error:
            raise BadFileError(shard.path, error.what, "name a Parquet or Arrow file of documents") from error
        # an empty shard still has the columns that the transform adds
        batches = itertools.chain([empty_batch(schema)], read_shard(shard.path))
        outs = (chain.run(b).replace_schema_metadata(None) for b in batches)
        first = next(outs)
        with ShardWriter(path, first.schema) as writer:
            for out in outs:
                writer.write(out if out.schema == first.schema else conform(out, first.schema))
        chain.check()
        if writer.written is None:
            raise RecipeError(f"{path}: was not written")
        yield Shard(path, writer.written.rows, writer.written.text_bytes)


def yaml_name(name: str) -> str:
    """The type of a transform in Beam's YAML.

    >>> yaml_name("gopher-quality")
    'CorpusmillGopherQuality'
    """
    return "Corpusmill" + "".join(word.capitalize() for word in name.split("-"))


def provider() -> list[dict[str, Any]]:
    """The provider, as the data of a YAML file: one entry for each map, filter and expand."""
    every = {n: c for n, c in usable().items() if issubclass(c, Map | Filter | Expand)}
    entries = {yaml_name(n): f"{__name__}.{n.replace('-', '_')}" for n in every}
    return [{"type": "python", "config": {}, "transforms": entries}]


def __getattr__(name: str) -> Callable[..., ShardStep]:
    """`corpusmill.pipelines.beam.provider.gopher_quality`: what Beam's YAML calls with the fields of the transform."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        cls = load(name.replace("_", "-"))
    except RecipeError as error:
        raise AttributeError(f"{__name__} has no {name}: {error}") from error

    def make(folder: str, seed: int = 1, **fields: Any) -> ShardStep:
        return ShardStep(cls.model_validate(fields), folder, seed)

    make.__name__, make.__doc__ = name, cls.__doc__
    return make


if __name__ == "__main__":
    import yaml

    from corpusmill.pipelines.beam import provider as this

    print(yaml.safe_dump(this.provider(), sort_keys=False), end="")
