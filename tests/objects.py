"""An S3 server in this process, for tests; the buckets of one test are not those of another."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from corpusmill.transforms.storage.objects import forget_clients

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class Server:
    """Moto behind a lock, as S3 itself lets one conditional write win; it notes every request.

    blind: it takes conditions for granted, as a store that does not know them. trouble: asked of each request by method and
    path; "busy" refuses it for now, "lost" does it and loses the answer, "torn" breaks the answer off in its midst.
    """

    def __init__(self) -> None:
        import logging

        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._app = DomainDispatcherApplication(create_backend_app)
        self._mutex = threading.Lock()
        self.requests: list[tuple[str, str]] = []
        self.blind = False
        self.trouble: Callable[[str, str], str] = lambda method, path: ""
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _answer(self, environ, start):
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if self.blind:
            environ = {k: v for k, v in environ.items() if k not in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")}
        trouble = self.trouble(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if trouble != "busy":
            with self._mutex:
                answer = self._app(environ, (lambda *_: None) if trouble == "lost" else start)
            if trouble == "torn":
                body = b"".join(answer)
                return [body[: len(body) // 2]]
            if not trouble:
                return answer
        else:  # a connection that stays open must not see this body as the next request
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def serving(bucket: str = "corpora") -> Iterator[Server]:
    """A server with one bucket, which boto3's clients of this process and of its children find."""
    server = Server()
    before = {k: os.environ.get(k) for k in (*ENVIRONMENT, "AWS_ENDPOINT_URL_S3")}
    os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL_S3=server.url)
    forget_clients()
    try:
        import boto3

        boto3.client("s3").create_bucket(Bucket=bucket)
        yield server
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
        forget_clients()
        server.stop()
