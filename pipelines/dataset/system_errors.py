"""Turns OS errors into a DatasetError with a remedy.

Only errors that the system's state causes: a full disk, rights, limits, a failing device. Every other `OSError` is passed on
unchanged, because it may be a defect.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from corpusmill.transforms.errors import CorpusmillError, DatasetError

_SPACE = "free some space, or put the output on a larger disk"
_RIGHTS = "let this user read the sources and write the dataset, or name another output.path"
_FILES = "raise the limit (`ulimit -n 4096`), or use fewer --workers"
ADVICE = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: ("the file is larger than this system or its limits allow (`ulimit -f`)", "raise the limit"),
    errno.EACCES: ("permission denied", _RIGHTS),
    errno.EPERM: ("the system does not permit it", _RIGHTS),
    errno.EROFS: ("the disk is read-only", "make it writable, or name another output.path"),
    errno.EMFILE: ("too many open files", _FILES),
    errno.ENFILE: ("too many open files on this machine", _FILES),
    errno.EINTR: ("the system interrupted a call", "look whether something sends signals to this process"),
    errno.EIO: ("the disk fails (input/output error)", "look after the disk"),
    errno.ENOTDIR: ("a file stands where a folder must be", "move it away, or name another output.path"),
    errno.EISDIR: ("a folder stands where a file must be", "move it away, or name another output.path"),
    errno.ELOOP: ("links lead to each other", "remove one of the links, or name what they should lead to"),
    errno.ENXIO: ("it is a socket or a device, and no file", "name a file"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "choose a shorter output.path"),
}
"""What an error number means, and what to do about it."""


def explain(error: Exception, dataset: str) -> Exception:
    """A DatasetError for an error that the system's state causes; any other error unchanged."""
    if isinstance(error, CorpusmillError) or not isinstance(error, OSError) or error.errno not in ADVICE:
        return error
    what, todo = ADVICE[error.errno]
    file = error.filename2 or error.filename or f"{dataset} (a file in it)"
    return DatasetError(
        f"{file}: {what}. Snapshots are as they were, and finished work is kept. To go on: {todo}; then run the same command "
        "again."
    )


@contextlib.contextmanager
def explained(dataset: str) -> Iterator[None]:
    """Turns the OS errors of this block into a DatasetError.

    Raises:
        DatasetError: names the file if the system named it, else the dataset.
    """
    try:
        yield
    except OSError as error:
        explained_error = explain(error, dataset)
        if explained_error is error:
            raise
        raise explained_error from error


def message_for(error: Exception) -> str | None:
    """What to say of an OS error that the system's state causes, or that names a file; None of another error, which may be a
    defect."""
    if not isinstance(error, OSError):
        return _of_a_name(error)
    more = {
        errno.ENOENT: ("there is no such file or folder", "correct the name, or restore it"),
        errno.EEXIST: ("a file stands there already", "remove it, or name another"),
    }
    named = error.filename2 or error.filename
    known = ADVICE.get(error.errno or 0) or (more.get(error.errno or 0) if named else None)
    if known is None:
        return None
    what, todo = known
    return f"{named or 'a file that this command reads or writes'}: {what}. To go on: {todo}; then run the same command again."


def _of_a_name(error: Exception) -> str | None:
    """What to say of an error that Python raises for a name that no system takes; None of another one."""
    text = str(error)
    if isinstance(error, UnicodeEncodeError) and "surrogates not allowed" in text:
        given = error.object.encode("utf-8", "backslashreplace").decode()
        return f"{given}: it is not valid Unicode. To go on: write it in UTF-8; then run the same command again."
    if isinstance(error, ValueError) and text == "embedded null byte":
        return "a path of this command or its settings holds a NUL character. To go on: correct it; then run it again."
    if isinstance(error, RuntimeError) and text.startswith("Symlink loop from "):
        path = text.removeprefix("Symlink loop from ").strip("'")
        return f"{path}: links lead to each other. To go on: remove one of them; then run the same command again."
    return None
