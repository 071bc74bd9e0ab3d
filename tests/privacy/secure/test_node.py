import contextlib
import socket
import ssl
import threading
import time

import numpy as np
import pytest

from corpusmill.privacy.secure import certificates
from corpusmill.privacy.secure.connection import address, exactly
from corpusmill.privacy.secure.node import CONNECTIONS, NO, OK, STRANGERS, Node
from corpusmill.privacy.secure.store import Store
from corpusmill.privacy.secure.wire import Message, encode
from corpusmill.transforms.errors import DatasetError, LockedError, PrivacyError, ProtocolError, RecipeError
from tests.privacy.secure.parties import Parties, Threads, until

pytest.importorskip("cryptography", reason="certificates need cryptography")

JOB = {"job": "j", "kind": "dedup"}
ONE = np.array([1], np.uint64)


@contextlib.contextmanager
def listening(threads, name="hub"):
    store = Store(threads.setup.folder / f"state-{name}" / "j")
    try:
        with Node(threads.party(name), threads.job, store) as node:
            yield node
    finally:
        store.close()


def raw(threads, to, data, certificate="north", folder=None):
    """What a party answers to bytes that come with a certificate."""
    certs = folder or threads.setup.folder / "certs"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(threads.setup.folder / "certs" / "authority.pem")
    if certificate:
        context.load_cert_chain(certs / f"{certificate}.pem", certs / f"{certificate}.key.pem")
    plain = socket.create_connection(address(threads.party(to).listen), 10)
    with context.wrap_socket(plain, server_hostname=to) as tls:
        tls.settimeout(10)
        tls.sendall(data)
        answer = tls.recv(1)
        if answer != NO:
            return answer
        more = b""
        while part := tls.recv(4096):
            more += part
        return (answer + more).decode(errors="replace")


def message(threads, sender="north", to="hub", kind="size", part=0, array=ONE, session=None):
    return encode(Message(session or threads.job.session, sender, to, kind, part, array))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    threads = Threads(tmp_path_factory.mktemp("node"), dict(JOB), max_message_mb=1)
    with listening(threads) as node:
        yield threads, node


def test_a_message_is_taken_once_and_a_different_second_one_is_refused(hub):
    threads, node = hub
    assert raw(threads, "hub", message(threads, part=5)) == OK
    assert raw(threads, "hub", message(threads, part=5)) == OK  # its sender had no answer: it is not taken again
    assert "differs from the first" in raw(threads, "hub", message(threads, part=5, array=ONE + ONE))
    assert node.receive("north", "size", 5).tolist() == [1]
    assert sum(name == ("north", "size", 5) for name in node.store.kept()) == 1


def test_messages_of_wrong_parties_are_refused(hub):
    threads, _ = hub
    assert "with the certificate of `south`" in raw(threads, "hub", message(threads), "south")
    assert "was refused by hub" in raw(threads, "hub", message(threads, to="east"))
    assert "another job" in raw(threads, "hub", message(threads, session="0" * 32))  # replayed from another run
    assert "may not send" in raw(threads, "hub", message(threads, kind="points", array=np.zeros((1, 32), np.uint8)))


def test_truncated_and_oversized_messages_are_refused(hub):
    threads, node = hub
    whole = message(threads, part=9)
    with socket.create_connection(address(threads.party("hub").listen), 5) as plain, contextlib.suppress(OSError):
        plain.sendall(whole)  # without TLS: no answer of the protocol, at most an alert
        assert OK not in plain.recv(1)
    big = message(threads, kind="rows", array=np.zeros(300_000, np.uint32))
    assert "at most" in raw(threads, "hub", big[:200])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certs = threads.setup.folder / "certs"
    context.load_verify_locations(certs / "authority.pem")
    context.load_cert_chain(certs / "north.pem", certs / "north.key.pem")
    with context.wrap_socket(
        socket.create_connection(address(threads.party("hub").listen)), server_hostname="hub"
    ) as tls:
        tls.sendall(whole[:-3])
    assert not node.has("north", "size", 9)


def test_strangers_do_not_get_in(hub, tmp_path):
    threads, node = hub
    certificates.make(tmp_path, ["north", "west"])
    for certificate, folder in (("", None), ("north", tmp_path)):  # without one; of another authority
        with pytest.raises((OSError, ssl.SSLError)):
            assert raw(threads, "hub", message(threads, part=7), certificate, folder) == b""
            raise OSError
    known = threads.setup.folder / "certs"
    asked = certificates.request(tmp_path / "w", "stranger")
    signed = certificates.sign(known, asked)
    assert "was refused by hub" in raw(threads, "hub", message(threads, sender="stranger"), "stranger", signed.parent)
    assert not node.has("north", "size", 7)


def test_a_party_at_the_wrong_address_is_found_out(tmp_path):
    threads = Threads(tmp_path, dict(JOB), timeout=5)
    with listening(threads) as hub:
        own = threads.party("north")
        wrong = own.model_copy(update={"addresses": own.addresses | {"south": own.addresses["hub"]}})
        store = Store(tmp_path / "x")
        with pytest.raises(ProtocolError, match="is not south"), Node(wrong, threads.job, store) as north:
            north.send("south", "size", ONE)
        assert not hub.store.kept()


def test_what_was_acknowledged_survives_a_restart_and_is_not_sent_again(tmp_path):
    threads = Threads(tmp_path, dict(JOB))
    with listening(threads) as hub:
        with listening(threads, "north") as north:
            north.send("hub", "size", ONE)
        assert hub.receive("north", "size").tolist() == [1]
    with listening(threads) as hub, listening(threads, "north") as north:
        assert hub.receive("north", "size").tolist() == [1]
        north.send("hub", "size", ONE)
    lines = threads.setup.transcript("north")
    assert [(r["to"], r["kind"], r["count"]) for r in lines] == [("hub", "size", 1)]


def test_parties_may_start_in_any_order(tmp_path):
    threads = Threads(tmp_path, dict(JOB))
    done = []

    def early():
        with listening(threads, "north") as north:
            north.send("hub", "size", ONE)
            done.append(1)

    thread = threading.Thread(target=early)
    thread.start()
    with listening(threads) as hub:
        assert hub.receive("north", "size").tolist() == [1]
        thread.join()
    assert done


def test_an_absent_party_is_named_and_a_stopping_one_says_so(tmp_path):
    threads = Threads(tmp_path, dict(JOB), timeout=1)
    with listening(threads) as hub:
        with pytest.raises(ProtocolError, match="`size` of north, which was not heard of for 1 s"):
            hub.receive("north", "size")
        threads.setup.retime(60)
        with pytest.raises(DatasetError), listening(threads, "north"):
            raise DatasetError("a reason of its own")
        with pytest.raises(ProtocolError, match="north, which has stopped"):
            hub.receive("north", "size", timeout=60)
    with pytest.raises(ProtocolError, match="cannot send `size` to hub"), listening(threads, "south") as south:
        south.send("hub", "size", ONE, timeout=0.2)


def test_that_a_party_stops_is_heard_however_long_its_connection_takes(tmp_path):
    threads = Threads(tmp_path, dict(JOB))
    with listening(threads) as hub:
        shake = hub._server_tls.wrap_socket

        def slowly(*connection, **how):
            time.sleep(1)
            return shake(*connection, **how)

        hub._server_tls.wrap_socket = slowly
        with pytest.raises(DatasetError), listening(threads, "north"):
            raise DatasetError("a reason of its own")
        with pytest.raises(ProtocolError, match="north, which has stopped"):
            hub.receive("north", "size", timeout=60)


def test_who_is_given_up_meanwhile_is_not_tried_any_longer(tmp_path):
    threads = Threads(tmp_path, dict(JOB), timeout=200)
    with listening(threads, "north") as north:
        begin = time.monotonic()
        threading.Timer(0.2, north.give_up, ("hub", float("inf"))).start()
        assert north.send_each({"hub": [("size", ONE)]}) == []
        assert time.monotonic() - begin < 100


def test_a_state_that_is_lost_or_shared_is_refused(tmp_path):
    store = Store(tmp_path / "j")
    with pytest.raises(LockedError):
        Store(tmp_path / "j")
    first = store.once("draw", lambda: {"x": np.arange(3)})
    assert store.once("draw", lambda: {"x": np.arange(9)})["x"].tolist() == first["x"].tolist()
    (tmp_path / "j" / "once" / "draw.npz").write_bytes(b"cut")
    with pytest.raises(DatasetError, match="cannot be read"):
        store.once("draw", dict)
    store.close()


def test_settings_that_cannot_be_are_told(tmp_path):
    parties = Parties(tmp_path, dict(JOB))
    own = Threads(tmp_path, dict(JOB)).party("north")
    job = parties.folder / "job.yaml"
    assert job.exists()
    from corpusmill.privacy.secure.settings import load_job

    with pytest.raises(RecipeError, match="takes no part"):
        Node(own.model_copy(update={"name": "west"}), load_job(job), Store(tmp_path / "a"))
    with pytest.raises(RecipeError, match="does not say where"):
        Node(own.model_copy(update={"addresses": {}}), load_job(job), Store(tmp_path / "b"))
    with pytest.raises(RecipeError, match="HOST:PORT"):
        address("nowhere")
    for text, why in [
        ("job: j\nkind: dedup\nparties: {owners: [a, b], aggregator: a}", "named twice"),
        ("job: j\nkind: dedup\nparties: {owners: [a], aggregator: h}", "two owners"),
        ("job: j\nkind: count\nparties: {owners: [a, b], aggregator: h}", "has the section `count`"),
        ("job: j\nkind: dedup\nparties: {owners: [a, b, c], aggregator: h, threshold: 1}", "more than half"),
        ("job: ../j\nkind: dedup\nparties: {owners: [a, b], aggregator: h}", "job"),
    ]:
        job.write_text(text)
        with pytest.raises(RecipeError, match=why):
            load_job(job)


def test_a_party_that_leaves_has_closed_its_sockets_in_the_threads_that_read_them(tmp_path):
    """A socket closed under its reader gave its number to the next file the process opened, whose first bytes the reader took."""
    threads = Threads(tmp_path, dict(JOB))
    before = set(threading.enumerate())
    with contextlib.ExitStack() as connections:
        with listening(threads) as hub, listening(threads, "north") as north:
            place = address(threads.party("hub").listen)
            connections.enter_context(socket.create_connection(place))  # never says who it is
            connections.enter_context(socket.create_connection(place))
            north.send("hub", "size", ONE)
            until(lambda: len(hub._in) == 3, 10)
            sockets = [hub._socket, north._socket, *hub._in.values(), *north._out.values()]
        assert set(threading.enumerate()) == before
        assert len(sockets) == 6
        assert [s.fileno() for s in sockets] == [-1] * len(sockets)


def test_strangers_and_announced_bytes_take_little_memory(tmp_path):
    """Connections that show no certificate are few, and a body takes memory as it comes, not as it is announced."""
    threads = Threads(tmp_path, dict(JOB), max_message_mb=1024)
    with listening(threads) as node:
        where = address(threads.party("hub").listen)
        silent = [socket.create_connection(where, 5) for _ in range(STRANGERS + 40)]
        until(lambda: len(node._in) >= STRANGERS)
        time.sleep(0.3)
        assert len(node._in) == STRANGERS
        for one in silent:
            one.close()
        until(lambda: not node._in)
        assert raw(threads, "hub", message(threads, part=1)) == OK


def test_a_body_that_never_comes_takes_no_memory():
    class Connection:
        def __init__(self):
            self.asked = []

        def recv(self, count):
            self.asked.append(count)
            return b"x" if len(self.asked) == 1 else b""

    connection = Connection()
    with pytest.raises(EOFError):
        exactly(connection, 10 << 40)  # would not fit into any memory
    assert max(connection.asked) <= 1 << 20


def test_one_party_has_few_connections(tmp_path):
    threads = Threads(tmp_path, dict(JOB))
    with listening(threads) as node:
        certs = threads.setup.folder / "certs"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certs / "authority.pem")
        context.load_cert_chain(certs / "north.pem", certs / "north.key.pem")
        kept = []
        for _ in range(CONNECTIONS + 3):
            plain = socket.create_connection(address(threads.party("hub").listen), 10)
            kept.append(context.wrap_socket(plain, server_hostname="hub"))
        until(lambda: len(node._in) == CONNECTIONS)
        for tls in kept:
            tls.close()


def test_a_key_that_others_can_read_is_refused(tmp_path):
    threads = Threads(tmp_path, dict(JOB))
    key = threads.setup.folder / "certs" / "north.key.pem"
    key.chmod(0o640)
    with (
        pytest.raises(PrivacyError, match=r"north\.key\.pem: its group or others may use this key file \(mode 640\)"),
        listening(threads, "north"),
    ):
        pass
    key.chmod(0o600)
    authority = key.with_name("authority.key.pem")
    if authority.exists():
        authority.chmod(0o604)
        with pytest.raises(PrivacyError, match="chmod 600"):
            certificates.sign(key.parent, certificates.request(tmp_path / "more", "west"))
