import json
import socket
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from corpusmill.pipelines.dataset import openlineage
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def server():
    """(address, what was posted, status to answer with)."""
    posted, status = [], [201]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append((self.path, body, self.headers.get("Authorization")))
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}", posted, status
    made.shutdown()
    made.server_close()


def test_each_commit_is_posted_once(tmp_path, monkeypatch, server):
    address, posted, _ = server
    monkeypatch.setenv("OPENLINEAGE_URL", address + "/")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k")
    write_shards(tmp_path / "raw", rows(20), 2)
    recipe = write_recipe(tmp_path, [])
    run(load(recipe), workers=1)
    run(load(recipe), workers=1)  # nothing new, no event
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert posted == [("/api/v1/lineage", events[0], "Bearer k")]
    assert events[0]["eventType"] == "COMPLETE"


def test_a_server_that_fails_costs_a_warning(tmp_path, monkeypatch, server):
    address, posted, status = server
    status[0] = 500
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "elsewhere")
    write_shards(tmp_path / "raw", rows(20), 2)
    with pytest.warns(UserWarning, match="did not take the lineage event.*500"):
        assert run(load(write_recipe(tmp_path, [])), workers=1).manifest["number"] == 1
    assert [path for path, _, _ in posted] == ["/elsewhere"]


@pytest.mark.parametrize(
    ("url", "disabled", "said"),
    [
        ("", "", None),
        ("http://x", "true", None),
        ("ftp://x", "", "no http address"),
        ("http://127.0.0.1:9", "", "did not take"),
        ("http://two words", "", "did not take"),
        ("http://[::1", "", "did not take"),
        ("http://me:word@[::1", "", "did not take"),
    ],
)
def test_without_a_server(monkeypatch, url, disabled, said):
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    monkeypatch.setenv("OPENLINEAGE_DISABLED", disabled)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert openlineage.send({}) is False
    assert len(seen) == (said is not None)
    assert said is None or said in str(seen[0].message)
    assert not seen or "://me:word" not in str(seen[0].message)


def test_what_answers_and_is_no_server_costs_a_warning(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"SSH-2.0-other\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{other.getsockname()[1]}")
        with pytest.warns(UserWarning, match="did not take the lineage event: SSH-2.0-other"):
            assert openlineage.send({}) is False
        thread.join()


def test_a_key_with_a_line_break_is_a_key_and_is_not_shown(monkeypatch, server):
    address, posted, _ = server
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "hidden\n")
    assert openlineage.send({})
    assert posted[0][2] == "Bearer hidden"


def test_the_event_of_private_text_has_no_counts_and_does_not_depend_on_them(tmp_path, monkeypatch, server):
    address, posted, _ = server
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    source = {"name": "calls", "path": "raw/*.parquet", "columns": {"id": "id"}, "private": True}
    for n in (20, 19):
        (tmp_path / str(n)).mkdir()
        write_shards(tmp_path / str(n) / "raw", rows(20)[:n], 2)
        run(load(write_recipe(tmp_path / str(n), [], sources=[source])), workers=1)
        events = [json.loads(line) for line in (tmp_path / str(n) / "out" / "events.jsonl").read_text().splitlines()]
        assert events == [posted[-1][1]]
    first, second = ({k: v for k, v in body.items() if k != "eventTime"} for _, body, _ in posted)
    for event in (first, second):
        event["run"].pop("facets")  # a checksum that covers the time
    assert first == second
    assert "rowCount" not in json.dumps(first)
    assert "private source calls" in json.dumps(first)
