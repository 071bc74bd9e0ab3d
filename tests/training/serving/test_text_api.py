"""The client of OpenAI-compatible servers, against a real HTTP server in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from corpusmill.training.serving import text_api
from corpusmill.training.serving.text_api import ApiError, Endpoint, TextApi, open_api
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.cache import RequestCache
from corpusmill.transforms.generate.model import Request, Sampling


class Server:
    """Answers with the prompt in capitals and its seed; `faults` are statuses to send first, one a request."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.faults: list[int] = []
        self.message = "no"
        self.redirect = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append((self.path, body, dict(self.headers)))
                status = outer.faults.pop(0) if outer.faults else 200
                if status == 0:  # the line breaks before an answer
                    self.connection.close()
                    return
                prompt = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
                text = f"{prompt.upper()} {body['seed']}"
                choice = {"text": text} if "prompt" in body else {"message": {"content": text}}
                answer = {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
                data = json.dumps(answer if status == 200 else {"error": outer.message}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if status == 307:
                    self.send_header("Location", outer.redirect)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def api(server: Server, options: str = "", scheme: str = "api") -> TextApi:
    made = open_api(f"{scheme}:{server.url}#tiny{options}")
    made.first_wait = 0.01
    return made


def asked(count: int) -> list[Request]:
    return [Request(f"prompt {i} 数", (i + 1) << 33, f"doc-{i}", Sampling(max_tokens=5)) for i in range(count)]


def test_completions_and_chat_in_order(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "secret-1")
    model = api(server, "?key=MY_API_KEY")
    assert model.complete(asked(9)) == [f"PROMPT {i} 数 {i + 1}" for i in range(9)]
    path, body, headers = server.seen[0]
    assert path == "/v1/completions"
    assert body["model"] == "tiny"
    assert body["max_tokens"] == 5
    assert headers["Authorization"] == "Bearer secret-1"
    assert (model.usage.records, model.usage.tokens, model.usage.written) == (9, 27, 18)
    assert api(server, "", "api+chat").complete(asked(1)) == ["PROMPT 0 数 1"]
    assert server.seen[-1][0] == "/v1/chat/completions"
    assert model.complete([]) == []


def test_temporary_refusals_are_tried_again(server: Server) -> None:
    server.faults = [429, 503, 0, 500]
    model = api(server, "?parallel=1")
    assert model.complete(asked(1)) == ["PROMPT 0 数 1"]
    assert model.sent == 5


def test_final_refusals_end_the_run(server: Server) -> None:
    server.faults = [401]
    with pytest.raises(ApiError, match="refused document doc-0 with 401"):
        api(server, "?parallel=1").complete(asked(1))
    assert len(server.seen) == 1
    server.faults = [503] * 3
    with pytest.raises(ApiError, match="no answer after 3 attempts"):
        api(server, "?parallel=1&retries=2").complete(asked(1))


def test_rate_limit_spaces_requests(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    # the clock stands still: all ask at once
    monkeypatch.setattr(text_api, "time", SimpleNamespace(monotonic=lambda: 100.0, sleep=slept.append))
    api(server, "?rate=50&parallel=4").complete(asked(6))
    assert len(server.seen) == 6
    assert sorted(slept) == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])


def test_cache_asks_once(server: Server, tmp_path: Path) -> None:
    cache, model = RequestCache(str(tmp_path / "r.sqlite")), api(server)
    first = cache.complete(model, asked(70))
    assert cache.complete(model, [*asked(70), *asked(3)]) == [*first, *first[:3]]
    assert len(server.seen) == 70 == cache.asked
    other = open_api(f"api:{server.url}#tiny?revision=2")
    assert cache.complete(other, asked(1)) == first[:1]
    assert len(server.seen) == 71


def test_answers_before_a_failure_are_kept(server: Server, tmp_path: Path) -> None:
    cache, model = RequestCache(str(tmp_path / "r.sqlite")), api(server, "?parallel=1&retries=0")
    server.faults = [200] * 66 + [400]
    with pytest.raises(ApiError):
        cache.complete(model, asked(80))
    kept = len(cache)
    assert kept == 66
    sent = len(server.seen)
    cache.complete(model, asked(80))
    assert len(server.seen) - sent == 80 - kept


@pytest.mark.parametrize(
    "spec",
    ["api:ftp://x#m", "api:http://x/v1", "api:http://x#m?rat=1", "api:http://x#m?rate=a", "api:http://x#m?parallel=0"],
)
def test_bad_specifications(spec: str) -> None:
    with pytest.raises(RecipeError, match="model 'api"):
        Endpoint.parse(spec)


def test_what_an_api_cannot_do(server: Server) -> None:
    with pytest.raises(RecipeError, match="no classifier"):
        api(server).classify(["a"])
    with pytest.raises(RecipeError, match="no likelihoods"):
        api(server).score(["a"])


def test_a_redirect_is_refused_so_that_no_other_server_sees_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-1")
    other = Server()
    server.redirect, server.faults = f"{other.url}/completions", [307]
    with pytest.raises(ApiError, match="with 307"):
        api(server, "?retries=0&key=OPENAI_API_KEY").complete(asked(1))
    other.http.shutdown()
    assert other.seen == []


@pytest.mark.parametrize("option", ["key=DB_PASSWORD", "key=sk-live-1234567890", "key="])
def test_only_variables_named_like_keys_are_sent(server: Server, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    with pytest.raises(RecipeError, match="only variables named like NAME_API_KEY or NAME_TOKEN are sent") as caught:
        api(server, f"?{option}")
    assert "sk-live" not in str(caught.value)
    with pytest.raises(RecipeError) as caught:
        open_api("api:http://me:hunter2@127.0.0.1:1/v1#m")
    assert "hunter2" not in str(caught.value)


def test_a_server_that_repeats_the_key_does_not_bring_it_into_messages(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "correct horse")
    server.faults, server.message = [401], "wrong key: correct horse"
    with pytest.raises(ApiError, match=r"wrong key: \*\*\*"):
        api(server, "?key=OPENAI_API_KEY").complete(asked(1))


def test_a_key_of_openai_goes_to_openai_alone_unless_it_is_asked_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-1")
    api(server).complete(asked(1))
    api(server, "?key=OPENAI_API_KEY").complete(asked(1))
    assert [headers.get("Authorization") for _, _, headers in server.seen] == [None, "Bearer secret-1"]
    for url, sent in (
        ("https://api.openai.com/v1", True), ("https://eu.api.openai.com/v1", True), ("http://api.openai.com/v1", False),
        ("https://openai.com.evil.org/v1", False), ("https://notopenai.com/v1", False),
        ("https://api.openai.com@evil.org/v1", False),
    ):  # fmt: skip
        assert (Endpoint(url, "m").variable == "OPENAI_API_KEY") is sent, url
