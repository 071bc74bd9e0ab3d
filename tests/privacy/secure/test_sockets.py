"""What crosses the wire, read from the sockets between parties and from the messages before TLS: never text, nor what it shows."""

import contextlib
import socket
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from corpusmill.privacy.secure import counts, dedup
from corpusmill.privacy.secure import node as nodes
from corpusmill.privacy.secure.connection import address
from corpusmill.privacy.secure.group import hash_to_group
from corpusmill.privacy.secure.settings import Dedup
from tests.privacy.secure.parties import OWNERS, Threads

pytest.importorskip("rbcl", reason="set intersection needs rbcl")

SECRET_WORDS = "the patient Ortrud Quast has a rare disease of the left ventricle"
DOCUMENTS = {
    "north": [SECRET_WORDS, "数据去重对语言模型很重要,因为重复的文本会被记住。"],
    "south": [SECRET_WORDS + "!", "of the south alone, and of nobody else at all in this land"],
    "east": [
        "数据去重对语言模型很重要,因为重复的文本会被记住。",
        "an eastern letter about the price of barley and rye",
    ],
}


class Tap:
    """Stands before a party's port, passes bytes on in both directions, and keeps them."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.to, self.seen = to, bytearray()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError), self._socket:
            while True:
                came, _ = self._socket.accept()
                try:
                    on = socket.create_connection(self.to, 5)
                except OSError:  # that party does not listen yet: its peer tries again
                    came.close()
                    continue
                for pair in ((came, on), (on, came)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.seen += data
                target.sendall(data)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # wakes who waits for a connection, and closes it
            self._socket.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tapped(monkeypatch):
    """tapped(threads): (bytes of every socket, frames before TLS) of what the parties then do."""
    frames, taps = [], []
    encode = nodes.encode
    monkeypatch.setattr(nodes, "encode", lambda m: frames.append((m, encode(m))) or frames[-1][1])

    def put(threads):
        before = {n: Tap(address(threads.party(n).listen)) for n in threads.setup.names}
        taps.extend(before.values())
        for name in threads.setup.names:
            path = threads.setup.folder / f"{name}.yaml"
            own = yaml.safe_load(path.read_text())
            own["addresses"] = {o: f"127.0.0.1:{before[o].port}" for o in own["addresses"]}
            path.write_text(yaml.safe_dump(own))
        return before, frames

    yield put
    for tap in taps:
        tap.close()


def shown(texts):
    """Pieces of text that must be nowhere, as bytes."""
    return [t[i : i + 8].encode() for t in texts for i in range(0, len(t) - 8, 4)]


def check(taps, frames, never):
    assert sum(len(t.seen) for t in taps.values()) > sum(len(data) for _, data in frames)
    for tap in taps.values():
        assert b"CMS1" not in tap.seen  # no frame outside of TLS
        assert not any(piece in tap.seen for piece in never)
    for _, data in frames:
        assert not any(piece in data for piece in never)


@pytest.mark.parametrize("settings", [{"method": "exact"}, {"bands": 8, "rows": 4, "threshold": 0.5}])
def test_no_text_and_no_plain_hash_of_a_deduplication_is_on_the_wire(tmp_path, tapped, settings):
    threads = Threads(tmp_path, {"job": "d", "kind": "dedup", "dedup": settings}, timeout=120)
    taps, frames = tapped(threads)
    s = Dedup(**settings)
    owned = {
        o: dedup.prepare(pa.table({"id": [f"{o}{i}" for i in range(2)], "text": t}).to_batches(), s)
        for o, t in DOCUMENTS.items()
    }
    parts = {o: lambda node, o=o: dedup.as_owner(node, owned[o], s)["id"].to_pylist() for o in OWNERS}
    found = threads.run({**parts, "hub": lambda node: dedup.as_aggregator(node, s)})
    assert found["south"] == (["south0"] if settings.get("bands") else [])
    assert found["east"] == ["east0"]
    never = shown([t for texts in DOCUMENTS.values() for t in texts])
    never += [f"{o}{i}".encode() for o in OWNERS for i in range(2)]
    for d in owned.values():
        points = hash_to_group(d.elements, threads.job.session.encode())
        never += [w.tobytes() for w in d.elements[:, 0] if w] + [p.tobytes() for p in points]
        never += [w.tobytes() for row in d.slots for w in row]
    check(taps, frames, never)
    assert {m.kind for m, _ in frames} <= {
        "size", "points", "tags", "rows", "slot-key", "compared", "slots", "keepers", "drop"
    }  # fmt: skip


def test_no_vector_of_a_count_is_on_the_wire_but_the_sum(tmp_path, tapped):
    by = [{"column": "length", "bounds": [float(x) for x in range(20, 90, 10)]}]
    threads = Threads(tmp_path / "p", {"job": "c", "kind": "count", "count": {"by": by}}, timeout=120)
    taps, frames = tapped(threads)
    files = {o: str(tmp_path / f"{o}.parquet") for o in OWNERS}
    for o, texts in DOCUMENTS.items():
        pq.write_table(pa.table({"text": texts * 300}), files[o])
    s = threads.job.count
    found = threads.run(
        {
            n: lambda node: counts.joint(node, s, [files[node.name]] if node.name in files else [])[0]
            for n in (*OWNERS, "hub")
        }
    )
    own = {o: counts.histogram([files[o]], s) for o in OWNERS}
    assert found["hub"].tolist() == sum(own.values()).tolist()
    check(taps, frames, shown([t for texts in DOCUMENTS.values() for t in texts]) + [v.tobytes() for v in own.values()])
    for m, _ in frames:
        if m.kind == "masked":
            assert not np.isin(m.array, own[m.sender]).any()
