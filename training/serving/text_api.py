"""A model behind an OpenAI-compatible HTTP API (vLLM, llama.cpp, TGI, hosted ones): completions or chat.

    api:http://localhost:8000/v1#MODEL             completions: the prompt is continued
    api+chat:http://localhost:8000/v1#MODEL        chat: the prompt is one user message

Options behind the name as a query: `?revision=2&rate=5&parallel=8&retries=6&timeout=120&key=MY_API_KEY`. The key is read from
the environment variable of that name, never from a recipe. When left out, OPENAI_API_KEY goes to OpenAI's servers, and nothing
to others. Only variables named like `NAME_API_KEY` or `NAME_TOKEN` are sent, and never to another server that the first one
redirects to. `revision` enters the digest: raise it when the server serves other weights under the same name.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from corpusmill.training.serving.local_model import Usage
from corpusmill.transforms import secrets
from corpusmill.transforms.errors import CorpusmillError, RecipeError

if TYPE_CHECKING:
    from corpusmill.transforms.generate.model import Request

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_OPTIONS = {"revision": str, "rate": float, "parallel": int, "retries": int, "timeout": float, "key": str}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect ends the request as an error: it would send the key, and the documents, to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


class ApiError(CorpusmillError):
    """A text API refused a request, or did not answer after all retries."""


@dataclass(frozen=True)
class Endpoint:
    """What a specification names. rate: requests a second at most, 0 for no limit; parallel: requests under way at once."""

    url: str
    model: str
    chat: bool = False
    revision: str = ""
    rate: float = 0.0
    parallel: int = 4
    retries: int = 6
    timeout: float = 120.0
    key: str = ""

    @classmethod
    def parse(cls, spec: str) -> Endpoint:
        """The endpoint of a specification.

        >>> Endpoint.parse("api+chat:http://localhost:8000/v1#tiny?rate=5").rate
        5.0

        Raises RecipeError.
        """
        if secrets.has_secret(spec):
            raise RecipeError(f"model {secrets.shown(spec)}: {secrets.REFUSED}; {secrets.KEY_REMEDY}")
        scheme, _, rest = spec.partition(":")
        url, _, behind = rest.partition("#")
        model, _, query = behind.partition("?")
        if urlsplit(url).scheme not in ("http", "https") or not model:
            raise RecipeError(f"model {secrets.mask(spec)!r}: write it as api:http://HOST:PORT/v1#MODEL")
        options: dict[str, Any] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in _OPTIONS:
                raise RecipeError(
                    f"model {secrets.mask(spec)!r}: unknown option {secrets.mask(name)}; there are {', '.join(_OPTIONS)}"
                )
            try:
                options[name] = _OPTIONS[name](value)
            except ValueError:
                raise RecipeError(
                    f"model {secrets.mask(spec)!r}: {name} is no {_OPTIONS[name].__name__}: {secrets.mask(value)}"
                ) from None
        if "key" in options and not secrets.sendable(options["key"]):
            raise RecipeError(f"model {secrets.shown(spec)}: {secrets.REFUSED}; {secrets.KEY_REMEDY}")
        if options.get("parallel", 1) < 1 or options.get("retries", 0) < 0 or options.get("rate", 0.0) < 0:
            raise RecipeError(f"model {secrets.mask(spec)!r}: parallel starts from 1, retries and rate from 0")
        return cls(url.rstrip("/"), model, scheme == "api+chat", **options)

    @property
    def variable(self) -> str:
        """The environment variable whose key is sent; "" for none. Without `key=`, a key of OpenAI's goes to OpenAI alone.

        >>> Endpoint.parse("api:https://api.openai.com/v1#m").variable, Endpoint.parse("api:https://openai.com.evil/v1#m").variable
        ('OPENAI_API_KEY', '')
        """
        address = urlsplit(self.url)
        theirs = address.scheme == "https" and f".{address.hostname or ''}".endswith(".openai.com")
        return self.key or ("OPENAI_API_KEY" if theirs else "")

    @property
    def digest(self) -> str:
        """Hexadecimal digest of what decides answers: server, model, form and revision."""
        parts = [self.url, self.model, self.chat, self.revision]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class _Rate:
    """Lets one caller through every 1 / rate seconds."""

    def __init__(self, rate: float) -> None:
        self._gap, self._next, self._lock = (1.0 / rate if rate else 0.0), 0.0, threading.Lock()

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)


class TextApi:
    """A remote model. Implements `corpusmill.transforms.generate.model.Model`; it has neither classes nor likelihoods.

    Temporary refusals (408, 409, 425, 429, 5xx) and lost connections are tried again after 0.5, 1, 2, ... seconds (30 at
    most), or after what `Retry-After` says. Any other refusal ends the run at once.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.digest, self.usage = endpoint, endpoint.digest, Usage()
        self.classes: list[str] = []
        self.sent = 0
        self.first_wait = 0.5
        self._rate, self._count = _Rate(endpoint.rate), threading.Lock()

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON sent for one request. The seed is 31 bits of its stream, so servers that obey seeds repeat themselves."""
        sampling = request.sampling
        body: dict[str, Any] = {"model": self.endpoint.model, "max_tokens": sampling.max_tokens}
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": request.key >> 33}
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if self.endpoint.chat:
            return body | {"messages": [{"role": "user", "content": request.prompt}]}
        return body | {"prompt": request.prompt}

    def complete(self, requests: Sequence[Request]) -> list[str]:
        """One text a request, `parallel` at once. Raises ApiError."""
        out = [""] * len(requests)
        self.complete_each(requests, out.__setitem__)
        return out

    def complete_each(self, requests: Sequence[Request], done: Callable[[int, str], None]) -> None:
        """`done(place, text)` for each request as its answer comes; after a refusal no further request is sent."""
        failed = threading.Event()

        def one(place: int) -> None:
            if failed.is_set():
                return
            try:
                done(place, self._one(requests[place]))
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(min(self.endpoint.parallel, len(requests) or 1), thread_name_prefix="api") as pool:
            for result in [pool.submit(one, place) for place in range(len(requests))]:
                result.result()

    def _one(self, request: Request) -> str:
        path = "/chat/completions" if self.endpoint.chat else "/completions"
        answer = self._send(self.endpoint.url + path, self.body(request), request.record)
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if self.endpoint.chat else choice["text"]
        except (KeyError, IndexError, TypeError):
            raise ApiError(f"{self.endpoint.url}: its answer has no text: {json.dumps(answer)[:200]}") from None
        used = answer.get("usage") or {}
        with self._count:
            self.usage.records += 1
            self.usage.tokens += int(used.get("prompt_tokens") or 0)
            self.usage.written += int(used.get("completion_tokens") or 0)
        return str(text or "")

    def _send(self, url: str, body: dict[str, Any], record: str) -> Any:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.endpoint.variable, "").strip()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data, wait = json.dumps(body, ensure_ascii=False).encode(), self.first_wait
        for attempt in range(self.endpoint.retries + 1):
            self._rate.wait()
            with self._count:
                self.sent += 1
            try:
                asked = urllib.request.Request(url, data, headers)
                with _OPENER.open(asked, timeout=self.endpoint.timeout) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                message, after = error.read(300).decode("utf-8", "replace"), error.headers.get("Retry-After")
                message = secrets.mask(message.replace(key, "***") if key else message)
                if error.code not in AGAIN:
                    raise ApiError(
                        f"{url}: refused document {record or '(unnamed)'} with {error.code}: {message}. Correct the model's "
                        "name, the key or the request."
                    ) from None
                what = f"{error.code}: {message}"
                pause = float(after) if after and after.isdigit() else wait
            except (OSError, http.client.HTTPException, ValueError) as error:
                what, pause = f"{type(error).__name__}: {error}", wait
            if attempt < self.endpoint.retries:
                time.sleep(min(pause, 30.0))
                wait = min(wait * 2, 30.0)
        raise ApiError(
            f"{url}: no answer after {self.endpoint.retries + 1} attempts; the last: {what}. Answers so far are kept: run the "
            "same command again when the server is well."
        )

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """An API gives no class logits."""
        raise RecipeError(f"{self.endpoint.url}: a text API is no classifier; name a checkpoint.")

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """An API gives no likelihoods here."""
        raise RecipeError(f"{self.endpoint.url}: a text API gives no likelihoods; name a checkpoint as `reference`.")


def open_api(spec: str) -> TextApi:
    """The opener of `api:` and `api+chat:`."""
    return TextApi(Endpoint.parse(spec))


open_api.digest = lambda spec: Endpoint.parse(spec).digest  # type: ignore[attr-defined]
