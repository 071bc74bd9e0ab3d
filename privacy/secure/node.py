"""One party on the network: it listens, keeps what it is sent, and sends until the other side has it.

Every connection is TLS 1.3 with certificates on both ends, from the parties' own authority; the name in a certificate must
be the sender of each message (`wire.py`) and one of the job's parties, in a role that may send that kind. A message is
written to disk before it is acknowledged (`store.py`) and sent again until it is, so parties may start in any order, and
a party that is killed and started again goes on. A party from which nothing comes for `timeout` seconds is lost.

TLS hides content from the network, not sizes and times. It does not make a party honest.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from corpusmill.privacy.secure.connection import Read, address, exactly, shut, tls_of
from corpusmill.privacy.secure.settings import Job, Party
from corpusmill.privacy.secure.store import Store
from corpusmill.privacy.secure.wire import HEAD, Message, allowed, decode, digest, encode
from corpusmill.transforms.errors import ProtocolError, RecipeError

OK, NO = b"\x01", b"\x00"
FIRST_PAUSE, LAST_PAUSE = 0.02, 1.0  # seconds between attempts to connect
LAST_WORDS = 5.0  # seconds for what is being received when this party is done, and for what it says of itself to arrive
STRANGERS = 64
"""Connections whose certificate has not been seen yet; more are closed at once."""
HANDSHAKE = 10.0
"""Seconds in which a connection must show its certificate."""
CONNECTIONS = 4
"""Connections of one party at a time: it needs one, and another while a broken one has not been noticed."""
PASSING = ("stop", "here")
"""Kinds that say how a party is, and are not kept."""


class _RefusedError(Exception):
    """The other side took the message and said no."""


class Node:
    """This party in one job. Use as a context: it listens inside."""

    def __init__(self, party: Party, job: Job, store: Store) -> None:
        if party.name not in job.parties.everyone:
            raise RecipeError(
                f"{party.name} takes no part in the job {job.job}; it names {', '.join(job.parties.everyone)}."
            )
        missing = set(job.parties.everyone) - {party.name} - set(party.addresses)
        if missing:
            raise RecipeError(f"`addresses` of {party.name} does not say where {', '.join(sorted(missing))} listens.")
        self.party, self.job, self.store = party, job, store
        self.name, self.session, self.timeout = party.name, job.session, party.timeout
        self.max_bytes = party.max_message_mb << 20
        self._server_tls = tls_of(party.certificates, party.name, ssl.PROTOCOL_TLS_SERVER)
        self._client_tls = tls_of(party.certificates, party.name, ssl.PROTOCOL_TLS_CLIENT)
        self._have = set(store.kept())
        self._heard: dict[str, float] = {}
        self._began = time.monotonic()
        self._stopped: set[str] = set()
        self._refused: list[str] = []
        self._changed = threading.Condition()
        self._writing = {name: threading.Lock() for name in job.parties.everyone}  # one message at a time to each
        self._out: dict[str, Any] = {}
        self._handshakes = threading.BoundedSemaphore(STRANGERS)
        self._serving: Counter[str] = Counter()
        self._in: dict[threading.Thread, socket.socket] = {}
        self._taking = 0
        self._closed = False

    def role(self, name: str) -> str:
        """`aggregator` or `owner`."""
        return "aggregator" if name == self.job.parties.aggregator else "owner"

    # life

    def __enter__(self) -> Node:
        host, port = address(self.party.listen)
        try:
            self._socket = socket.create_server((host, port), backlog=128)
        except OSError as error:
            raise RecipeError(f"{self.party.listen}: cannot be listened on ({error.strerror}).") from error
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self._say("stop")
        limit = time.monotonic() + LAST_WORDS
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._taking == 0, LAST_WORDS)
        # Whoever works with a socket closes it, woken by the shutdown. Closed here, its number would go to the next file that this
        # process opens, and a thread still on its way to a read would take bytes out of that file.
        shut(self._socket)
        self._accepting.join()
        self._socket.close()
        with self._changed:
            serving = dict(self._in)
        for plain in serving.values():
            shut(plain)
        for thread in serving:
            thread.join(max(0.0, limit - time.monotonic()))
        for to, tls in list(self._out.items()):
            shut(tls)
            if self._writing[to].acquire(timeout=max(0.0, limit - time.monotonic())):
                self._drop(to)
                self._writing[to].release()

    def say_here(self, to: Iterable[str] | None = None) -> None:
        """Tell all parties, or some, that this one is there: who gave it up expects it again, who has something for it sends."""
        self._say("here", to)

    def _say(self, kind: str, to: Iterable[str] | None = None) -> None:
        others = [o for o in (to or self.job.parties.everyone) if o != self.name]
        self.send_each({o: [(kind, np.array([1], np.uint8))] for o in others}, timeout=0.5)

    # receiving

    def _accept(self) -> None:
        while not self._closed:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(FIRST_PAUSE)  # a connection that was gone again, or a want of descriptors that may pass
                continue
            if not self._handshakes.acquire(blocking=False):  # strangers take no more than this of memory and threads
                plain.close()
                continue
            try:
                tls = self._server_tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            except (OSError, ValueError):
                self._handshakes.release()
                plain.close()
                continue
            thread = threading.Thread(target=self._serve, args=(tls,), daemon=True)
            with self._changed:
                self._in[thread] = tls
            thread.start()

    def _serve(self, tls: ssl.SSLSocket) -> None:
        peer = ""
        try:
            with tls:
                try:
                    tls.settimeout(min(self.timeout, HANDSHAKE))
                    tls.do_handshake()
                finally:
                    self._handshakes.release()
                tls.settimeout(self.timeout)
                names = dict(field[0] for field in tls.getpeercert()["subject"])  # type: ignore[index,misc]
                name = str(names["commonName"])
                with self._changed:
                    if self._serving[name] >= CONNECTIONS:
                        return
                    peer = name
                    self._serving[peer] += 1
                while True:
                    first = exactly(tls, HEAD.size)
                    with self._busy() as here:
                        if not here:
                            return
                        try:
                            self._take(decode(Read(tls, first), self.max_bytes, lambda h: self._admit(h, peer)))
                        except ProtocolError as error:
                            self._refuse(tls, error)
                            return  # what follows cannot be told from the refused message's body
                        tls.sendall(OK)
        except (OSError, KeyError, EOFError, ValueError):
            return  # a stranger, or a party that went away: the sender tries again
        finally:
            with self._changed:
                self._in.pop(threading.current_thread(), None)
                if peer:
                    self._serving[peer] -= 1

    @contextlib.contextmanager
    def _busy(self) -> Iterator[bool]:
        """While a message is taken: this party does not leave between keeping one and saying so. False if it has left."""
        with self._changed:
            self._taking += 1
            here = not self._closed
        try:
            yield here
        finally:
            with self._changed:
                self._taking -= 1
                self._changed.notify_all()

    def _refuse(self, tls: Any, error: ProtocolError) -> None:
        with self._changed:
            self._refused.append(str(error))
        reason = str(error).encode()[:500]
        with contextlib.suppress(OSError):
            tls.sendall(NO + len(reason).to_bytes(2, "little") + reason)

    def _admit(self, header: dict[str, Any], peer: str) -> None:
        sender, kind = header["sender"], header["kind"]
        if sender != peer:
            raise ProtocolError(
                f"a message in the name of `{sender}` came with the certificate of `{peer}` and was refused."
            )
        if sender not in self.job.parties.everyone or sender == self.name or header["to"] != self.name:
            raise ProtocolError(f"a message from `{sender}` to `{header['to']}` was refused by {self.name}.")
        if header["session"] != self.session:
            raise ProtocolError(
                f"{self.name} refused a message of another job. The job files of {sender} and {self.name} differ, or one of "
                "them works on another job: all parties need the same file."
            )
        if not allowed(kind, self.role(sender), self.role(self.name)):
            raise ProtocolError(f"a message `{kind}` from `{sender}` was refused: its role may not send it.")

    def _take(self, message: Message) -> None:
        with self._changed:
            self._heard[message.sender] = time.monotonic()
            self._stopped.discard(message.sender)
            if message.kind in PASSING:
                if message.kind == "stop":
                    self._stopped.add(message.sender)
            elif message.name in self._have:
                if digest(self.store.load(message.name)) != digest(message):
                    raise ProtocolError(
                        f"a second message {message.kind}/{message.part} of {message.sender} that differs from the first was "
                        "refused. A party whose state is lost cannot take the job up again: start it under a new name."
                    )
            else:
                self.store.keep(message)
                self._have.add(message.name)
            self._changed.notify_all()

    def receive(
        self, sender: str, kind: str, part: int = 0, timeout: float | None = None, patient: bool = False
    ) -> np.ndarray:
        """The array of a message, as soon as it is there. patient: as in `wait`.

        Raises ProtocolError if the sender has stopped, or nothing came from it for `timeout` seconds.
        """
        if not self.wait([sender], kind, part, timeout, patient=patient):
            why = "has stopped" if sender in self._stopped else f"was not heard of for {timeout or self.timeout:g} s"
            refused = f" Refused meanwhile: {self._refused[-1]}" if self._refused else ""
            raise ProtocolError(
                f"{self.name} waits for `{kind}` of {sender}, which {why}. Nothing is written. Start {sender} again, then "
                f"{self.name}: both go on from where they were.{refused}"
            )
        return self.store.load((sender, kind, part)).array

    def has(self, sender: str, kind: str, part: int = 0) -> bool:
        """Whether a message has come."""
        return (sender, kind, part) in self._have

    def wait(
        self,
        senders: Iterable[str],
        kind: str,
        part: int = 0,
        timeout: float | None = None,
        unless: tuple[str, str, int] | None = None,
        patient: bool = False,
    ) -> list[str]:
        """Those of `senders` whose message has come, after all have sent it, stopped or been silent for `timeout` seconds.

        unless: sender, kind and part of a message that makes waiting needless. patient: who has stopped may come back in that
        time, and is waited for.
        """
        senders, begin = list(senders), time.monotonic()
        with self._changed:
            while True:
                now, limit = time.monotonic(), timeout or self.timeout
                gone = set() if patient else self._stopped
                missing = [s for s in senders if (s, kind, part) not in self._have and s not in gone]
                # the clock starts at the wait: a party may be silent while this one is at work
                left = [limit - (now - max(self._heard.get(s, 0.0), begin)) for s in missing]
                came = [s for s in senders if (s, kind, part) in self._have]
                if not missing or max(left) <= 0 or unless in self._have:
                    return came
                self._changed.wait(max(0.01, max(left)))

    def give_up(self, name: str, since: float) -> None:
        """Wait no more for a party of which nothing came after `since` (monotonic seconds), until it is heard again."""
        with self._changed:
            if self._heard.get(name, self._began) < since:
                self._stopped.add(name)
                self._changed.notify_all()

    def heard(self, name: str, timeout: float) -> bool:
        """Whether a party is expected to listen; waits up to `timeout` seconds for one that was given up."""
        with self._changed:
            return self._changed.wait_for(lambda: name not in self._stopped, timeout)

    def prune(self, part: int, kinds: Iterable[str]) -> None:
        """Remove the messages of these kinds and this part that have come: nobody will ask for them."""
        for kind in kinds:
            for sender in self.job.parties.everyone:
                with self._changed:
                    if (sender, kind, part) in self._have:
                        self._have.discard((sender, kind, part))
                        self.store.remove((sender, kind, part))

    # sending

    def send(
        self,
        to: str,
        kind: str,
        array: np.ndarray,
        part: int = 0,
        timeout: float | None = None,
        patient: bool = True,
    ) -> None:
        """Send an array and return when `to` has it on its disk. What it has already is not sent again.

        Raises ProtocolError if it cannot be reached for `timeout` seconds, or, if not `patient`, has stopped; or refuses the
        message.
        """
        if self.store.sent(to, kind, part):
            return
        message = Message(self.session, self.name, to, kind, part, np.ascontiguousarray(array))
        data = encode(message)
        begin = time.monotonic()
        pause, reason = FIRST_PAUSE, "no answer"
        with self._writing[to]:
            while True:
                tried, limit = time.monotonic(), begin + (timeout or self.timeout)
                try:
                    self._exchange(to, data, max(LAST_WORDS if kind in PASSING else 0.1, limit - tried))
                    break
                except _RefusedError as error:
                    self._drop(to)
                    raise ProtocolError(f"{to} refused `{kind}` of {self.name}: {error}") from None
                except ssl.SSLCertVerificationError as error:
                    self._drop(to)
                    raise ProtocolError(
                        f"{self.party.addresses[to]} is not {to}: {error.verify_message}. Check `addresses` and certificates."
                    ) from None
                except (OSError, EOFError) as error:
                    self._drop(to)
                    reason = str(error) or reason
                given_up = not patient and to in self._stopped
                if time.monotonic() + pause > limit or self._closed or given_up:
                    raise ProtocolError(
                        f"{self.name} cannot send `{kind}` to {to} at {self.party.addresses[to]}: {reason}."
                    )
                with self._changed:  # who says something is there
                    self._changed.wait_for(lambda: self._heard.get(to, 0.0) > tried, pause)  # noqa: B023
                pause = min(2 * pause, LAST_PAUSE)
        if kind not in PASSING:
            self.store.note(message, len(data), digest(message))

    def _exchange(self, to: str, data: bytes, timeout: float) -> None:
        tls = self._out.get(to)
        if tls is None:
            plain = socket.create_connection(address(self.party.addresses[to]), min(timeout, 5.0))
            tls = self._out[to] = self._client_tls.wrap_socket(plain, server_hostname=to)
        tls.settimeout(timeout)
        failed: OSError | None = None
        try:
            tls.sendall(data)
        except OSError as error:
            failed = error  # the receiver may have refused before it read all: its answer says why
        answer = exactly(tls, 1)
        if answer == NO:
            raise _RefusedError(exactly(tls, int.from_bytes(exactly(tls, 2), "little")).decode(errors="replace"))
        if failed:
            raise failed

    def _drop(self, to: str) -> None:
        tls = self._out.pop(to, None)
        if tls is not None:
            with contextlib.suppress(OSError):
                tls.close()

    def send_each(
        self,
        messages: Mapping[str, Sequence[tuple[str, np.ndarray]]],
        part: int = 0,
        timeout: float | None = None,
        patient: bool = False,
    ) -> list[str]:
        """Send (kind, array) to several parties at the same time, each in order; those that were reached. For parties that
        may be gone: who is not reached in `timeout` seconds, or refuses, is left out; so is who has stopped, if not `patient`."""

        def some(to: str) -> bool:
            try:
                for kind, array in messages[to]:
                    if to in self._stopped and not patient:
                        return False
                    self.send(to, kind, array, part, timeout, patient)
            except ProtocolError:
                return False
            return True

        if not messages:
            return []
        with ThreadPoolExecutor(len(messages)) as pool:
            return [to for to, reached in zip(messages, pool.map(some, messages), strict=True) if reached]
