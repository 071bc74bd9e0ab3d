"""Faults of the disk, of a store or of the memory are told apart from faults of the content, and condemn no file."""

import errno
import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, ChangedFileError, StoreError, UnreadableFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.opened import faults_of, open_file, passing
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import make_splits
from tests.transforms.sources.made import COMPRESS, write


class Failing(io.RawIOBase):
    """A file whose reads fail from byte `at` on."""

    def __init__(self, path, at, error):
        self._f, self._at, self._error = open(path, "rb"), at, error  # noqa: SIM115

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return self._f.seek(offset, whence)

    def tell(self):
        return self._f.tell()

    def read(self, n=-1):
        if self._f.tell() + (n if n > 0 else 1) > self._at:
            raise self._error
        return self._f.read(n)


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "I/O error"), StoreError("s3://x", "the store failed (500)", "try again")]
)
@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.jsonl.xz", "a.txt", "a.arrow"]
)
def test_an_error_while_a_good_file_is_read_never_quarantines_it(tmp_path, monkeypatch, name, error):
    path = tmp_path / name
    if name.endswith(".arrow"):
        write(path, pa.table({"text": [str(i) for i in range(50_000)]}))
    else:
        lines = b"".join(b'{"text": "%d"}\n' % (i * 7919 % 10007) for i in range(50_000))
        path.write_bytes(COMPRESS[path.suffix if len(path.suffixes) == 2 else ""](lines))
    spec = SourceSpec(name="s", path=name, on_bad_file="skip", max_bad_fraction=1)
    splits = make_splits(spec, list_files(spec, str(tmp_path)))
    for at in (0, 1000, path.stat().st_size // 2):
        monkeypatch.setattr(storage, "open_input", lambda uri, at=at: Failing(uri, at, error))
        bad = BadRows("s")
        with pytest.raises(UnreadableFileError, match="cannot be read"):
            for split in splits:
                list(read_split(split, spec, bad))
        assert bad.count == 0
        monkeypatch.undo()


def test_what_arrow_says_of_the_system_is_known():
    with pytest.raises(OSError) as error, pa.OSFile("/proc/self/mem") as f:
        f.read(10)
    assert passing(error.value) == "Input/output error"
    with pytest.raises(pa.ArrowInvalid) as error:
        pq.ParquetFile(io.BytesIO(b"PAR1 and no more"))
    assert passing(error.value) == ""


def test_a_lack_of_memory_condemns_no_file_but_an_absurd_size_does():
    assert passing(MemoryError())
    assert passing(pa.ArrowMemoryError("malloc of size 1048576 failed"))
    assert passing(pa.ArrowMemoryError("malloc of size 9007199254740992 failed")) == ""


def test_a_file_that_is_gone_or_refused_is_no_bad_file(tmp_path):
    with pytest.raises(ChangedFileError, match="is gone"):
        open_file(str(tmp_path / "none"))
    with pytest.raises(UnreadableFileError, match="Permission denied"), faults_of("x", "is corrupt"):
        raise PermissionError(errno.EACCES, "Permission denied", "x")
    with pytest.raises(BadFileError, match="is corrupt"), faults_of("x", "is corrupt"):
        raise OSError("Corrupt snappy compressed data.")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_limit_of_open_files_is_named_with_its_remedy(number):
    with (
        pytest.raises(UnreadableFileError, match=r"a\.txt: cannot be read \(.*ulimit -n"),
        faults_of("a.txt", "is broken"),
    ):
        raise OSError(number, os.strerror(number), "a.txt")
