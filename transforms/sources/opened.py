"""Opening and reading files, and telling a fault of the content from a fault of the disk or the network.

Only content condemns content: a BadFileError may put a whole file into quarantine, so it is raised for what the bytes are.
What an operating system, a store or a lack of memory refuses is an UnreadableFileError, which always stops the run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.errors import (
    BadFileError,
    ChangedFileError,
    CorpusmillError,
    StoreError,
    UnreadableFileError,
)

_ERRNO = re.compile(r"\[errno (\d+)\]", re.IGNORECASE)
_ALLOCATION = re.compile(r"size (\d+) failed")
_MORE_FILES = "raise the limit (`ulimit -n 4096`), or use fewer --workers"
_PLAUSIBLE = 4 << 30
"""Bytes up to which an allocation that failed is blamed on the machine, not on the number in the file."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def passing(error: BaseException | None) -> str:
    """Why an error has nothing to do with the content of a file, in words; empty if the content is to blame."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, StoreError):
            return error.what
        if isinstance(error, OSError):
            found = _ERRNO.search(str(error))  # Arrow wraps errors of the system
            number = error.errno or (int(found[1]) if found else 0)
            if number and number != errno.EINVAL:  # of a place in the file that only damaged content names
                return os.strerror(number)
        if isinstance(error, MemoryError):
            wanted = _ALLOCATION.search(str(error))
            if wanted is None or int(wanted[1]) < _PLAUSIBLE:
                return "there is not enough memory"
        error = error.__cause__ or error.__context__
    return ""


def fault(path: str, error: BaseException, what: str) -> BadFileError | UnreadableFileError:
    """The error to raise for `error`, met while `path` was read; `what` says what is wrong if its content is to blame."""
    reason = passing(error)
    if reason:
        limited = reason in (os.strerror(errno.EMFILE), os.strerror(errno.ENFILE))
        return UnreadableFileError(path, f"cannot be read ({reason})", _MORE_FILES if limited else "")
    return BadFileError(path, f"{what} ({first_line(error)})")


@contextlib.contextmanager
def faults_of(path: str, what: str) -> Iterator[None]:
    """In this block, errors of Arrow, of codecs and of the system become BadFileError or UnreadableFileError."""
    try:
        yield
    # first and alone: a reader may be closed while the interpreter ends, when other names are gone
    except GeneratorExit:
        raise
    except FileNotFoundError as error:
        raise ChangedFileError(path, "is gone since it was listed") from error
    except CorpusmillError as error:
        if not isinstance(error, StoreError):
            raise
        raise fault(path, error, what) from error
    except (pa.ArrowException, OSError, ValueError, OverflowError, EOFError, MemoryError) as error:
        raise fault(path, error, what) from error


def open_file(path: str) -> BinaryIO:
    """The file, opened for reading."""
    with faults_of(path, "cannot be opened"):
        return storage.open_input(path)
