"""Hugging Face data sets: folders that `save_to_disk` wrote (read as the Arrow streams they are, without `datasets`), and
`hf://` names, streamed through `datasets`."""

from __future__ import annotations

import json
from typing import Any

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, MissingDependencyError, SourceError, UnreadableFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import FileRef, Part, digest_of
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of, first_line
from corpusmill.transforms.sources.rows import rows_from
from corpusmill.transforms.sources.spec import SourceSpec

SCHEME = "hf://"


def saved_files(folder: str, split: str | None) -> list[storage.Entry]:
    """The Arrow files of a saved data set, or of one split or all splits of a saved DatasetDict."""
    marker = storage.join(folder, "dataset_dict.json")
    if not storage.exists(marker):
        return _of_split(folder)
    splits = [str(s) for s in _json(marker).get("splits", [])]
    if split is not None and split not in splits:
        raise SourceError(f"{folder} has no split '{split}'. To go on: set `hf_split` to one of {', '.join(splits)}.")
    return [f for s in ([split] if split else splits) for f in _of_split(_inside(folder, s, marker))]


def _json(path: str) -> dict[str, Any]:
    with faults_of(path, "is no JSON"):
        data = json.loads(storage.read_bytes(path))
    if not isinstance(data, dict):
        raise BadFileError(path, "is no JSON object", "save the data set again")
    return data


def _inside(folder: str, name: str, named_by: str) -> str:
    # a name from a file must not lead out of its folder
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise BadFileError(named_by, f"names '{name}', which is no plain file name", "save the data set again")
    return storage.join(folder, name)


def _of_split(folder: str) -> list[storage.Entry]:
    state = storage.join(folder, "state.json")
    names = [d.get("filename", "") for d in _json(state).get("_data_files", []) if isinstance(d, dict)]
    files = [_inside(folder, str(n), state) for n in names]
    for file in files:
        if not storage.exists(file):
            raise BadFileError(file, f"is named by {state} and is not there", "save the data set again")
    return [storage.stat(f) for f in files]


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "hf:// sources need `datasets`. To go on: pip install 'corpusmill[hf]'."
        ) from error
    return datasets


def streamed_ref(spec: SourceSpec, path: str) -> FileRef:
    """The reference of a streamed data set: its digest names the commit on the hub, so that a new one is new input."""
    name = path.removeprefix(SCHEME)
    if spec.hf_split is None:
        raise SourceError(
            f"source '{spec.name}': {path} needs a split. To go on: set `hf_split`, for example to train."
        )
    if name.startswith("/"):  # a folder of data files on this machine, in any layout `load_dataset` knows
        entries = storage.list_glob(name)
        if not entries:
            raise SourceError(f"source '{spec.name}': '{path}' matches no file. To go on: correct its `path`.")
        stamp = digest_of(*(f"{e.uri}|{e.size}|{e.stamp}" for e in entries))
    else:
        _datasets()
        from huggingface_hub import HfApi

        try:
            stamp = str(HfApi().dataset_info(name, revision=spec.revision).sha)
        except Exception as error:  # the client raises a dozen kinds, from four packages
            raise SourceError(
                f"source '{spec.name}': {path} cannot be found ({type(error).__name__}: {str(error).splitlines()[0][:200]}). "
                "To go on: check the name, the network and your access, or save it to a folder with `save_to_disk`."
            ) from error
    digest = digest_of(name, stamp, spec.config, spec.hf_split, spec.limit)
    return FileRef(path, name, "hf", 0, "", digest)


class HuggingFace(Format):
    """Data sets of Hugging Face."""

    name = "hf"
    schemes = ("hf://",)
    markers = ("dataset_dict.json", "state.json")
    extra = "hf"
    inferred = True
    alone = True

    def find(self, spec: SourceSpec, path: str) -> list[FileRef] | list[tuple[storage.Entry, str]]:
        """A name of the hub, or the Arrow files of a saved data set."""
        if path.startswith(SCHEME):
            return [streamed_ref(spec, path)]
        if not any(storage.exists(storage.join(path, m)) for m in self.markers):
            raise SourceError(
                f"source '{spec.name}': {path} is no folder that `save_to_disk` wrote (no state.json or "
                "dataset_dict.json). To go on: name such a folder, or a data set as hf://OWNER/NAME."
            )
        return [(entry, "arrow") for entry in saved_files(path, spec.hf_split)]

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Batches of a streamed data set."""
        # nothing is budgeted: rows come one by one from a data set of unknown size; `limit` bounds them
        datasets, name, first = _datasets(), part.path.removeprefix(SCHEME), 0
        try:
            revision = None if name.startswith("/") else spec.revision
            data = datasets.load_dataset(name, spec.config, split=spec.hf_split, revision=revision, streaming=True)
            if spec.limit is not None:
                data = data.take(spec.limit)
            for table in data.with_format("arrow").iter(batch_size=rows):
                for batch in table.combine_chunks().to_batches():
                    yield batch, rows_from(first)
                    first += batch.num_rows
        except GeneratorExit:
            raise
        except Exception as error:  # whatever a builder, a codec or the network raises: it is this source that failed
            what = f"{type(error).__name__}: {first_line(error)}"
            # a hub or a network that fails cannot be distinguished from damaged data
            raise UnreadableFileError(part.path, f"cannot be streamed after row {first} ({what})") from error
