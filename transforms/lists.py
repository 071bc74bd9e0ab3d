"""Lists that people write: ids to take out, words to look for. One reader for all of them.

A list is a text file with one entry a line, a CSV or TSV file with a header, JSON lines, a JSON array, or a Parquet file. Files
of spreadsheets and editors are read as people mean them: a byte order mark, blanks around an entry, quotes around it, empty
lines and `\\r\\n` are not part of an entry. Only `\\n`, `\\r\\n` and `\\r` end a line, because ids may hold U+2028 and its like.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path

from corpusmill.transforms.errors import DatasetError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLANKS = " \t\xa0\ufeff\v\f\0"


def read_list(path: str | Path, column: str) -> list[str]:
    """The entries of a list, each once, in order.

    Args:
        path: of the file.
        column: name of the field or column that holds an entry, where the file has fields; a header of one column may be it.

    Raises:
        DatasetError: the file cannot be read, or a line of it holds no entry.
    """
    try:
        if str(path).endswith(".parquet"):
            entries = _parquet(path, column)
        else:
            entries = list(_entries(_decoded(Path(path).read_bytes()), column))
    except (OSError, ValueError, KeyError, csv.Error, RecursionError) as error:
        what = f"no field {error}" if isinstance(error, KeyError) else str(getattr(error, "strerror", None) or error)
        raise DatasetError(f"{path}: cannot be read as a list ({what}); write one `{column}` a line") from error
    return [e for e in dict.fromkeys(entries) if e]


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"line {line} is not {encoding.removesuffix('-sig').upper()}: save the file as UTF-8"
        ) from None


def _entries(text: str, column: str) -> Iterator[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((line.strip(_BLANKS) for line in lines if line.strip(_BLANKS)), "")
    if first.startswith("["):
        try:
            values = json.loads(text)
        except ValueError:
            pass  # an entry may begin with a bracket
        else:
            yield from (_value(v, column) for v in values)
            return
    delimiter = _delimiter(first, column)
    if delimiter:
        rows = csv.DictReader(_numbered(lines), delimiter=delimiter, skipinitialspace=True)
        names = {name.strip(_BLANKS).lower(): name for name in rows.fieldnames or []}
        for row in rows:
            yield (row[names[column.lower()]] or "").strip(_BLANKS)
        return
    header = _plain(first).lower() == column.lower()
    for number, line in enumerate(lines, 1):
        entry = line.strip(_BLANKS)
        if entry.startswith("{"):
            try:
                yield _value(json.loads(entry), column)
            except KeyError:
                raise ValueError(f"line {number} has no field `{column}`") from None
            except ValueError:
                raise ValueError(f"line {number} is not JSON") from None
        elif entry and not (header and _plain(entry).lower() == column.lower()):
            yield _plain(entry)


def _numbered(lines: list[str]) -> Iterator[str]:
    return (line.lstrip("\ufeff") + "\n" for line in lines if line.strip(_BLANKS))


def _delimiter(first: str, column: str) -> str:
    """The delimiter of a header that names the column among others; "" for a plain list."""
    for delimiter in (",", ";", "\t", "|"):
        names = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
        if len(names) > 1 and column.lower() in (n.strip(_BLANKS).lower() for n in names):
            return delimiter
    return ""


def _plain(entry: str) -> str:
    """An entry without the quotes around it; doubled quotes in it are single ones."""
    for quote in ('"', "'"):
        if len(entry) > 1 and entry[0] == entry[-1] == quote:
            inner = entry[1:-1]
            if quote not in inner.replace(quote * 2, ""):
                return inner.replace(quote * 2, quote)
    return entry


def _value(value: object, column: str) -> str:
    entry = value[column] if isinstance(value, dict) else value
    return entry if isinstance(entry, str) else json.dumps(entry)


def _parquet(path: str | Path, column: str) -> list[str]:
    import pyarrow as pa

    from corpusmill.transforms.shards import read_shard

    batches = read_shard(str(path), [column])
    return [i for b in batches for i in b.column(column).cast(pa.string()).to_pylist() if i is not None]
