"""Croissant metadata: a JSON-LD file that tells dataset catalogues what a snapshot holds.

The document conforms to Croissant 1.1 (mlcommons.org/croissant/1.1): the shards as files with their SHA-256, one record set
with a field for each column, and nested columns as sub-fields. Columns are readable through it for Parquet; other formats
are described as files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats import load
from corpusmill.transforms.tokens.formats.files import ExportFormat, File, sinks

_OWN = (
    "arrayShape citeAs column conformsTo containedIn equivalentProperty extract field fileProperty fileObject fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate "
    "separator source subField transform"
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{word: f"cr:{word}" for word in _OWN.split()},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_temporal(kind):
        return "sc:Date"
    return "sc:Text"


def _field(field: pa.Field, where: str, source: dict[str, Any], column: str) -> dict[str, Any]:
    kind, name = field.type, f"{where}/{field.name}"
    metadata: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name}
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        shape = kind.list_size if pa.types.is_fixed_size_list(kind) else -1
        metadata |= {"isArray": True, "arrayShape": str(shape)}
        kind = kind.value_type
    metadata["source"] = {**source, "extract": {"column": column}}
    if pa.types.is_struct(kind):
        inner = [kind.field(i) for i in range(kind.num_fields)]
        metadata["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{part.name}",
                "name": f"{name}/{part.name}",
                "dataType": _data_type(part.type),
                "source": {**source, "extract": {"column": column}, "transform": {"jsonPath": part.name}},
            }
            for part in inner
        ]
    else:
        metadata["dataType"] = _data_type(kind)
    return metadata


def croissant(
    name: str,
    description: str,
    schema: pa.Schema,
    files: Sequence[File],
    form: str,
    license: str,
    published: date,
    version: str = "1.0.0",
    creator: str = "",
    url: str = "",
) -> dict[str, Any]:
    """The metadata as JSON-LD. files: their paths are relative to the metadata's own directory.

    license: an SPDX identifier or a URL. published: the day of the snapshot (not of this call: same input, same bytes).

    Raises:
        RecipeError: the format is unknown, or there are no files.
    """
    media = load(form).media
    if not files:
        raise RecipeError(f"croissant: the dataset {name!r} has no files to describe")
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": media,
            "sha256": file.sha256,
        }
        for file in files
    ]
    shards = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": f"all {len(files)} files",
        "encodingFormat": media,
        # one by one, since shards of other snapshots may lie beside them
        "includes": [file.path for file in files],
    }
    metadata: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
        "description": description,
        "license": license,
        "version": version,
        "datePublished": published.isoformat(),
    }
    if creator:
        metadata["creator"] = {"@type": "sc:Organization", "name": creator}
    if url:
        metadata["url"] = url
    metadata["distribution"] = [*objects, shards]
    if form == "parquet":
        source = {"fileSet": {"@id": "shards"}}
        fields = [_field(field, "rows", source, field.name) for field in schema]
        metadata["recordSet"] = [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}]
    return metadata


def write_croissant(path: str, metadata: dict[str, Any]) -> File:
    """Write the metadata to `path`, usually croissant.json beside the data."""
    with sinks(path) as (sink,):
        sink.write(json.dumps(metadata, indent=1, ensure_ascii=False).encode())
        return sink.publish()


def describe(path: str, *about: Any) -> File:
    """Write the metadata of `croissant(*about)` to `path`."""
    return write_croissant(path, croissant(*about))


FORMATS = {"croissant": ExportFormat(describe=describe, documents=True, media="application/ld+json")}
