"""The cache: for each address a note of what came of it, and the file, or a small file that says why there is none."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from dataclasses import asdict, dataclass

from corpusmill.transforms import storage
from corpusmill.transforms.sources.files import FileRef
from corpusmill.transforms.sources.listing import content_digest

FIELDS = ("address", "kind", "reason", "detail")


@dataclass
class Note:
    """What came of an address. kind: as in `visit.Visit`, never `same`; at: address to which redirects led; checked: seconds since
    1970 at which the host was asked; file: name in the folder; format: of the file; body, sha256: see `saving.Saved`; stamp: of the
    file when it was written."""

    address: str
    kind: str
    checked: float
    file: str
    format: str
    reason: str = ""
    detail: str = ""
    at: str = ""
    etag: str = ""
    last_modified: str = ""
    body: str = ""
    sha256: str = ""
    stamp: str = ""


class Cache:
    """Notes and files in a folder, those of each host in a folder of its own."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def stem(self, address: str) -> str:
        """Path of the file of an address, without its ending."""
        host = urllib.parse.urlsplit(address).netloc.replace(":", "_").strip("[].") or "host"
        return os.path.join(self.folder, host, hashlib.sha256(address.encode()).hexdigest()[:32])

    def _note(self, address: str) -> str:
        head, name = os.path.split(self.stem(address))
        return os.path.join(head, f".{name}.json")

    def get(self, address: str) -> Note | None:
        """What is known of an address; None where nothing is, or its file is gone."""
        try:
            note = Note(**json.loads(storage.read_bytes(self._note(address))))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        whole = note.address == address and os.path.exists(os.path.join(os.path.dirname(self.stem(address)), note.file))
        return note if whole else None

    def put(self, note: Note) -> None:
        """Keep a note; what is no file gets a small one that says why. A file of an earlier note with another name goes."""
        folder = os.path.dirname(self.stem(note.address))
        before = self.get(note.address)
        if note.kind != "file":
            note.file, note.format = os.path.basename(self.stem(note.address)) + ".url", "urls"
            storage.makedirs(folder)
            said = {k: v for k, v in asdict(note).items() if k in FIELDS}
            data = json.dumps(said, ensure_ascii=False, sort_keys=True).encode()
            storage.write_atomic(os.path.join(folder, note.file), data)
            note.sha256 = hashlib.sha256(data).hexdigest()
        note.stamp = storage.stat(os.path.join(folder, note.file)).stamp
        storage.write_atomic(self._note(note.address), json.dumps(asdict(note), indent=1).encode())
        if before is not None and before.file != note.file:
            storage.remove(os.path.join(folder, before.file))

    def file(self, note: Note) -> FileRef:
        """The file of a note, under its address. A file that somebody changed is read again for its digest."""
        path = os.path.join(os.path.dirname(self.stem(note.address)), note.file)
        entry = storage.stat(path)
        same = note.stamp == entry.stamp and note.sha256
        digest = note.sha256[:32] if same else content_digest(path, entry.size)
        return FileRef(path, note.address, note.format, entry.size, entry.stamp, digest)
