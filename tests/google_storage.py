"""As much of the JSON interface of Google Cloud Storage as its own client needs here, in this process, for tests."""

import base64
import contextlib
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from corpusmill.transforms.storage.objects import forget_clients


class Bucket:
    """Objects by name: (bytes, generation, when). An entry is replaced, never changed: what is read once is of one moment."""

    def __init__(self, name: str) -> None:
        self.name, self.objects, self.next, self.mutex = name, {}, 1, threading.Lock()
        self.sessions: dict[str, tuple[str, dict]] = {}

    def about(self, name: str, entry: tuple[bytes, int, str]) -> dict:
        data, generation, when = entry
        import google_crc32c

        crc = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
        return {"kind": "storage#object", "name": name, "bucket": self.name, "size": str(len(data)), "crc32c": crc,
                "generation": str(generation), "metageneration": "1", "updated": when, "timeCreated": when}  # fmt: skip

    def write(self, name: str, data: bytes, query: dict) -> dict | None:
        with self.mutex:
            wanted = query.get("ifGenerationMatch")
            if wanted is not None and int(wanted) != self.objects.get(name, (b"", 0, ""))[1]:
                return None
            when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            self.objects[name] = (data, self.next, when)
            self.next += 1
            return self.about(name, self.objects[name])

    def begin(self, name: str, query: dict) -> str:
        """The id of a new session of writing."""
        with self.mutex:
            session = str(len(self.sessions))
            self.sessions[session] = (name, query)
            return session


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", 1 << 16, True
    bucket: Bucket

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, code: int, body: object = None, headers: dict | None = None) -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _missing(self) -> None:
        self._say(404, {"error": {"code": 404, "message": "No such object"}})

    def _stored(self, about: dict | None) -> None:
        self._say(200, about) if about else self._say(412, {"error": {"code": 412, "message": "conditionNotMet"}})

    def _parts(self) -> tuple[list[str], dict]:
        url = urlsplit(self.path)
        return [unquote(p) for p in url.path.split("/")], {k: v[0] for k, v in parse_qs(url.query).items()}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        parts, query = self._parts()
        if parts[-1] == "o":
            return self._list(query)
        name = parts[-1]
        entry = self.bucket.objects.get(name)
        if entry is None:
            return self._missing()
        about, data = self.bucket.about(name, entry), entry[0]
        if query.get("alt") != "media":
            return self._say(200, about)
        if query.get("ifGenerationMatch", about["generation"]) != about["generation"]:
            return self._stored(None)
        headers = {
            "x-goog-generation": about["generation"],
            "x-goog-metageneration": "1",
            "x-goog-hash": f"crc32c={about['crc32c']}",
        }
        span = self.headers.get("Range")
        if not span or not data:
            return self._say(200, data, headers)
        first, _, last = span.removeprefix("bytes=").partition("-")
        end = min(int(last or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
        return self._say(206, data[int(first) : end + 1], headers)

    def _list(self, query: dict) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes = [], set()
        for name, entry in sorted(self.bucket.objects.copy().items()):
            if name.startswith(prefix):
                rest = name[len(prefix) :]
                if delimiter and delimiter in rest:
                    prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
                else:
                    items.append(self.bucket.about(name, entry))
        self._say(200, {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)})

    def do_POST(self) -> None:
        parts, query = self._parts()
        body = self._body()
        if "rewriteTo" in parts:
            entry, target = self.bucket.objects.get(parts[parts.index("o") + 1]), parts[-1]
            if entry is None:
                return self._missing()
            about = self.bucket.write(target, entry[0], query)
            size = about["size"]
            return self._say(200, {"done": True, "resource": about, "totalBytesRewritten": size, "objectSize": size})
        if query["uploadType"] == "resumable":
            session = self.bucket.begin(json.loads(body)["name"], query)
            return self._say(200, {}, {"Location": f"http://{self.headers['Host']}/session/{session}"})
        mark = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
        _, head, content, _ = body.split(b"--" + mark, 3)
        name = json.loads(head.partition(b"\r\n\r\n")[2])["name"]
        return self._stored(self.bucket.write(name, content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"), query))

    def do_PUT(self) -> None:
        parts, _ = self._parts()
        name, query = self.bucket.sessions[parts[-1]]
        self._stored(self.bucket.write(name, self._body(), query))

    def do_DELETE(self) -> None:
        parts, _ = self._parts()
        with self.bucket.mutex:
            found = self.bucket.objects.pop(parts[-1], None)
        self._say(204) if found else self._missing()


@contextlib.contextmanager
def serving(bucket: str = "corpora") -> Iterator[Bucket]:
    """A server with one bucket, which Google's client finds."""
    made = Bucket(bucket)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"bucket": made}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{server.server_port}"
    forget_clients()
    try:
        yield made
    finally:
        os.environ.pop("STORAGE_EMULATOR_HOST") if before is None else os.environ.update(STORAGE_EMULATOR_HOST=before)
        forget_clients()
        server.shutdown()
        thread.join()
        server.server_close()
