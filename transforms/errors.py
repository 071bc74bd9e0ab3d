"""Every error corpusmill raises on purpose, as one tree.

    CorpusmillError            exit code 1
    ├── RecipeError            78  the recipe, or a value in it, is wrong
    ├── SourceError             1  an input file or row cannot be used
    │   ├── BadFileError           the file as a whole: truncated, corrupt, too large when decoded
    │   ├── UnreadableFileError    the file cannot be read now; its content is not to blame, so nothing is quarantined
    │   │   └── ChangedFileError       it changed after it was listed, or while it was read
    │   └── TooManyBadRowsError    more bad rows than `max_bad_fraction`
    ├── StoreError              1  an object store refuses, cannot be reached, or lacks credentials; also an OSError
    │   └── UnfitStoreError        a dataset there could lose a commit when two processes write it
    ├── EngineError             1  a rule of the engine broke; always a defect worth reporting
    │   └── ConservationError      rows in and rows accounted for differ
    ├── DatasetError            1  a dataset directory is missing, damaged or not ours
    │   ├── DamagedWorkError       a stored result is damaged; it is made again
    │   ├── VerifyError            a published file differs from its digest
    │   ├── LockedError        75  another process is writing the dataset
    │   └── ExpectationError        the snapshot would not be what the recipe's `expect` demands
    ├── TrainingError          1  training cannot go on: a loss that is not finite, a checkpoint that cannot be written
    ├── PrivacyError           1  a guarantee would not hold; nothing was released
    │   ├── BudgetError            it would cost more than what is left of the privacy budget
    │   └── ProtocolError          another owner's party is absent, or sent what it must not; no result is written
    └── MissingDependencyError  1  an optional package or data file is absent

A message names the file, line or document, says what was wrong, and what to do.
"""


class CorpusmillError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class RecipeError(CorpusmillError):
    """The recipe is wrong: unknown key, bad value, missing path."""

    exit_code = 78


class SourceError(CorpusmillError):
    """An input cannot be used."""


class BadFileError(SourceError):
    """A whole file is unusable: truncated, corrupt, of another format, or a decompression bomb."""

    def __init__(self, path: str, what: str, todo: str = "") -> None:
        self.path, self.what, self.todo = path, what, todo
        advice = todo or "replace the file, or set `on_bad_file: skip` on its source to quarantine it whole"
        super().__init__(f"{path}: {what}. To go on: {advice}.")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.path, self.what, self.todo)


class UnreadableFileError(SourceError):
    """A file cannot be read now: a fault of the disk, the network or its rights. It is never quarantined for that."""

    def __init__(self, path: str, what: str, todo: str = "") -> None:
        self.path, self.what, self.todo = path, what, todo
        advice = (
            todo or "run the same command again; if this comes back, check the disk, the network and the file's rights"
        )
        super().__init__(f"{path}: {what}. To go on: {advice}.")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.path, self.what, self.todo)


class ChangedFileError(UnreadableFileError):
    """A file is not the one that was listed: it was written, replaced or removed meanwhile."""

    def __init__(self, path: str, what: str = "changed after it was listed", todo: str = "") -> None:
        super().__init__(path, what, todo or "run the same command again when nothing writes the file")


class TooManyBadRowsError(SourceError):
    """More rows were quarantined than `max_bad_fraction` allows; nothing is committed."""


class StoreError(CorpusmillError, OSError):
    """A fault of an object store: no access, no credentials, no such bucket, no answer. It is an OSError, too, so that what
    reads files treats it as one."""

    def __init__(self, uri: str, what: str, todo: str) -> None:
        self.uri, self.what, self.todo = uri, what, todo
        super().__init__(f"{uri}: {what}. To go on: {todo}.")
        self.strerror = what

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.uri, self.what, self.todo)


class UnfitStoreError(StoreError):
    """A place that cannot hold a dataset: it does not let exactly one of two writers of a name win."""


class EngineError(CorpusmillError):
    """A rule of the engine broke. Not the user's mistake: please report it."""


class ConservationError(EngineError):
    """Rows in differ from rows out + dropped + quarantined - derived."""


class DatasetError(CorpusmillError):
    """A dataset directory is missing, damaged, or not one of ours."""


class DamagedWorkError(DatasetError):
    """A stored result under `.corpusmill` is not as it was written. The engine removes it and makes it again."""

    def __init__(self, path: str, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(
            f"{path}: this stored result is damaged ({what}). To go on: run the same command again, which makes it again; if "
            "that fails, remove the file."
        )

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.what)


class VerifyError(DatasetError):
    """A published file differs from the digest in its manifest."""


class LockedError(DatasetError):
    """Another process holds the dataset's lock."""

    exit_code = 75


class ExpectationError(DatasetError):
    """What would be committed breaks an expectation of the recipe; nothing is committed."""


class TrainingError(CorpusmillError):
    """Training cannot go on; the last checkpoint is intact and the message names it."""


class PrivacyError(CorpusmillError):
    """What was asked would break the privacy guarantee; nothing was released."""


class BudgetError(PrivacyError):
    """What was asked costs more than is left of the privacy budget; no data was touched."""


class ProtocolError(PrivacyError):
    """A joint computation cannot go on: a party is absent, or sent what it must not; no result is written."""


class MissingDependencyError(CorpusmillError):
    """An optional package or data file is absent; the message names the command that gets it."""
