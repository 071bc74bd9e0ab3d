"""The tree of errors: as it is drawn, with its exit codes, and whole behind a journey between processes."""

import inspect
import pickle
import re

import pytest

from corpusmill.transforms import errors
from corpusmill.transforms.errors import (
    BadFileError,
    CorpusmillError,
    DamagedWorkError,
    StoreError,
    UnreadableFileError,
)

EVERY = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, CorpusmillError)]


def drawn():
    """(name, exit code or None, name of the parent) as the tree at the top of the module says."""
    found, above = [], {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+Error) +(?:exit code )?(\d+)?", line)
        if match:
            deep = len(match[1]) // 4
            above[deep] = match[2]
            found.append((match[2], match[3] and int(match[3]), above.get(deep - 1)))
    return found


def test_the_tree_is_drawn_as_it_is():
    assert {name for name, _, _ in drawn()} == {c.__name__ for c in EVERY}
    for name, code, parent in drawn():
        cls = getattr(errors, name)
        assert parent is None or cls.__bases__[0].__name__ == parent
        assert code is None or cls.exit_code == code


def made(cls):
    if issubclass(cls, BadFileError | StoreError | UnreadableFileError):
        return cls("/a/b", "is torn", "mend it")
    return cls("/a/b", "is torn") if cls is DamagedWorkError else cls("what, and what to do")


@pytest.mark.parametrize("cls", EVERY, ids=lambda c: c.__name__)
def test_an_error_of_a_worker_arrives_as_it_was_raised(cls):
    error = made(cls)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.exit_code) == (cls, str(error), error.exit_code)
    assert vars(again) == vars(error)


def test_a_bad_file_says_what_to_do_even_if_nobody_did():
    assert str(BadFileError("a.gz", "is cut", "fetch it again")) == "a.gz: is cut. To go on: fetch it again."
    assert "set `on_bad_file: skip` on its source" in str(BadFileError("a.gz", "is cut"))


def test_a_fault_of_a_store_is_one_of_the_system_with_its_words():
    error = StoreError("s3://b/x", "access is denied", "give credentials")
    assert isinstance(error, OSError)
    assert (error.strerror, error.uri) == ("access is denied", "s3://b/x")
