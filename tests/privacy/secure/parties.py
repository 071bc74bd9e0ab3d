"""Parties as real processes over loopback, for the tests of joint computations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml

from corpusmill.privacy.secure import certificates
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.settings import Party, load_job, load_party
from corpusmill.privacy.secure.store import Store
from corpusmill.transforms.errors import CorpusmillError
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import json, sys
from corpusmill.privacy.secure.run import run
from corpusmill.privacy.secure.settings import load_job, load_party
from corpusmill.transforms.errors import CorpusmillError
job, party, *files = sys.argv[1:]
try:
    agreed, tune = load_job(job), None
    if agreed.kind == "finetune":
        from corpusmill.training.owners.federated import part as tune
    if agreed.kind == "average":
        from corpusmill.training.owners.average import part as tune
    print(json.dumps(run(agreed, load_party(party), files, tune)))
except CorpusmillError as error:
    print(type(error).__name__, error, file=sys.stderr)
    sys.exit(9)
"""
OWNERS = ("north", "south", "east")


class Parties:
    """Owners and an aggregator in a folder, each with its own settings and state."""

    def __init__(
        self,
        folder: Path,
        job: dict,
        owners: tuple[str, ...] = OWNERS,
        timeout: float = 200,
        own: dict[str, dict] | None = None,
        **fields,
    ) -> None:
        """own: settings of single parties; fields: of all."""
        self.folder, self.owners, self.names = folder, owners, (*owners, "hub")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "certs").exists():
            certificates.make(folder / "certs", list(self.names))
        ports = dict(zip(self.names, free_ports(len(self.names)), strict=True))
        for name in self.names:
            party = {
                "name": name,
                "listen": f"127.0.0.1:{ports[name]}",
                "addresses": {o: f"127.0.0.1:{ports[o]}" for o in self.names if o != name},
                "certificates": "certs",
                "state": f"state-{name}",
                "timeout": timeout,
                **fields,
                **(own or {}).get(name, {}),
            }
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(party))
        self.job = {"parties": {"owners": list(owners), "aggregator": "hub", **job.pop("parties", {})}, **job}
        (folder / "job.yaml").write_text(yaml.safe_dump(self.job))
        self.running: dict[str, subprocess.Popen] = {}

    def start(self, name: str, files: list[Path] = (), die_after: str = "") -> subprocess.Popen:  # type: ignore[assignment]
        """The process of a party. die_after: it kills itself when it has sent a message of this kind."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DIE_AFTER": die_after}
        code = CODE if not die_after else DYING + CODE
        argv = [sys.executable, "-c", code, str(self.folder / "job.yaml"), str(self.folder / f"{name}.yaml")]
        self.running[name] = subprocess.Popen(
            [*argv, *map(str, files)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return self.running[name]

    def end(self, name: str, timeout: float = 280) -> tuple[int, dict, str]:
        """(exit code, report, error) of a party's process."""
        out, err = self.running[name].communicate(timeout=timeout)
        del self.running[name]
        lines = out.strip().splitlines()
        return_code = 0 if lines else 1
        return (0 if return_code == 0 else 9), json.loads(lines[-1]) if lines else {}, err

    def all(self, files: dict[str, list[Path]] | None = None, timeout: float = 280) -> dict[str, dict]:
        """Reports of all parties, which must succeed."""
        try:
            for name in self.names:
                self.start(name, (files or {}).get(name, []))
            found = {name: self.end(name, timeout) for name in self.names}
        finally:
            self.kill()
        for name, (code, _, err) in found.items():
            assert code == 0, f"{name}: {err}"
        return {name: report for name, (_, report, _) in found.items()}

    def all_with_a_kill(self, killed: str, kind: str, files: dict[str, list[Path]]) -> dict[str, tuple[int, dict, str]]:
        """(exit code, report, error) of all, which must succeed, where `killed` dies when it has sent a message of `kind`, and is
        started again."""
        for name in self.names:
            self.start(name, files.get(name, []), die_after=kind if name == killed else "")
        dead = self.running[killed]
        until(lambda: dead.poll() is not None, 200)
        assert dead.returncode == -9
        self.start(killed, files.get(killed, []))
        found = {name: self.end(name) for name in self.names}
        assert [code for code, _, _ in found.values()] == [0] * len(found), found
        return found

    def retime(self, timeout: float) -> None:
        """Another `timeout` for processes that start from now on."""
        for name in self.names:
            path = self.folder / f"{name}.yaml"
            path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "timeout": timeout}))

    def kill(self) -> None:
        for process in self.running.values():
            process.kill()
            process.communicate()

    def transcript(self, name: str) -> list[dict]:
        """What a party says it sent."""
        path = self.folder / f"state-{name}" / self.job["job"] / "transcript.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


DYING = """
import os, signal
from corpusmill.privacy.secure import store as _store
_note = _store.Store.note
def _die(self, message, wire_bytes, digest):
    _note(self, message, wire_bytes, digest)
    if message.kind == os.environ["DIE_AFTER"]:
        os.kill(os.getpid(), signal.SIGKILL)
_store.Store.note = _die
"""


def until(true, seconds: float = 60) -> None:
    """Wait for something that other processes bring about."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            raise TimeoutError("it did not come")
        time.sleep(0.02)


class Killed(BaseException):
    """A party of a thread is gone, without a word to the others."""


def hurry(node: Node) -> None:
    """From now on, a party waits for nobody: who would have come is there, however long that took."""
    node.timeout = 0.1
    with node._changed:
        node._changed.notify_all()


def when(node: Node, true) -> None:
    """`hurry`, as soon as something is so."""
    threading.Thread(target=lambda: (until(true, 200), hurry(node)), daemon=True).start()


class Threads:
    """Parties as threads of this process, over the same sockets: for many short protocols.

    Nothing depends on how fast they are: a party that is gone for good is given up by the others at once, and who is alone in
    the end waits for nobody.
    """

    def __init__(self, folder: Path, job: dict, timeout: float = 60, **fields) -> None:
        self.setup = Parties(folder, job, timeout=timeout, **fields)
        self.job = load_job(folder / "job.yaml")

    def party(self, name: str) -> Party:
        return load_party(self.setup.folder / f"{name}.yaml")

    def run(self, parts: dict, die: dict[str, tuple[str, int]] = {}, back: bool = False) -> dict:  # noqa: B006
        """What each party's function of its node returned, or the error it raised. die: party -> (kind, how many of them it
        sends before it is gone); back: who was there will come, or come back, while others wait."""
        found: dict = {}
        nodes: dict[str, Node] = self.__dict__.setdefault("nodes", {})
        there: set[str] = self.__dict__.setdefault("there", set())
        there.update(parts)

        def work(name: str) -> None:
            store = Store(self.setup.folder / f"state-{name}" / self.job.job)
            node = nodes[name] = Node(self.party(name), self.job, store)
            if name in die:
                kind, left = die[name]
                note = store.note

                def dying(message, wire_bytes, digest):
                    nonlocal left
                    note(message, wire_bytes, digest)
                    left -= message.kind == kind
                    if left <= 0:
                        raise Killed

                store.note = dying  # type: ignore[method-assign]
            try:
                node.__enter__()
                try:
                    found[name] = parts[name](node)
                except Killed as error:
                    found[name] = error
                    node.__exit__(None, None, None)
                except CorpusmillError as error:
                    found[name] = error
                    node.__exit__(type(error), error, None)
                else:
                    node.__exit__(None, None, None)
            finally:
                store.close()
                there.discard(name)
                del nodes[name]
            for other in [] if back else list(nodes.values()):
                if isinstance(found.get(name), Killed):
                    other.give_up(name, float("inf"))
                if there == {other.name}:
                    hurry(other)

        threads = [threading.Thread(target=work, args=(name,)) for name in parts]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return found

    def restarting(self, parts: dict, name: str, kind: str, count: int = 1) -> dict:
        """As `run`, while one party is killed when it has sent `count` messages of a kind, and started again at once."""
        first: dict = {}
        second: dict = {}

        def twice() -> None:
            first.update(self.run({name: parts[name]}, {name: (kind, count)}, back=True))
            second.update(self.run({name: parts[name]}))

        thread = threading.Thread(target=twice)
        thread.start()
        found = self.run({k: v for k, v in parts.items() if k != name}, back=True)
        thread.join()
        assert isinstance(first[name], Killed), f"{name} was never killed: it sent no {kind}"
        return {**found, **second}

    def alone(self, parts: dict, visits: int = 100) -> tuple[dict, dict[str, list[str]]]:
        """(what each returned, the errors of its earlier visits) where only the aggregator stays: an owner comes when no other is
        there, for its own `timeout`, and comes again until it has its result."""
        found: dict = {}
        stays = threading.Thread(target=lambda: found.update(self.run({"hub": parts["hub"]})))
        stays.start()
        owners = [o for o in parts if o != "hub"]
        said: dict[str, list[str]] = {o: [] for o in owners}
        for _ in range(visits):
            for owner in [o for o in owners if o not in found]:
                result = self.run({owner: parts[owner]}, back=True)[owner]
                if isinstance(result, CorpusmillError):
                    said[owner].append(str(result))
                else:
                    found[owner] = result
        stays.join()
        return found, said
