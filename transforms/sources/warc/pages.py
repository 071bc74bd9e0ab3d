"""From records of a web archive to pages: which records are pages, and what their columns hold."""

from __future__ import annotations

import io
import re
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.charsets import as_utf8, utf8_array
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.rows import Place
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.warc.bodies import BodyError, body_of
from corpusmill.transforms.sources.warc.records import Gap, Record

_COLUMNS = (
    ("text", pa.string()),
    ("url", pa.string()),
    ("date", pa.string()),
    ("mime", pa.string()),
    ("status", pa.int32()),
    ("digest", pa.string()),
    ("charset", pa.string()),
    ("truncated", pa.string()),
    ("record", pa.string()),
    ("rights_headers", pa.string()),
    ("warc_file", pa.string()),
    ("warc_offset", pa.int64()),
)
_BODY = ("html", pa.binary())
_OF_RIGHTS = frozenset(["x-robots-tag", "tdm-reservation", "tdm-policy", "content-usage", "content-signal"])
KINDS = frozenset(["response", "resource", "conversion", "metadata"])
_HTML = ("text/html", "application/xhtml+xml")
_LOOKS_LIKE_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


class Options(BaseModel):
    """Which records of a web archive are pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: list[int] = Field([200], description="HTTP status codes of pages; all of them if empty.")
    types: Literal["html", "text"] = Field(
        "html", description="html; or text: every type that begins with `text/`, too."
    )
    body: bool = Field(
        False, description="Add the column `html`: the body's bytes as they are, before they are decoded."
    )


def schema_of(spec: SourceSpec) -> pa.Schema:
    """The columns of a source's pages."""
    return pa.schema([*_COLUMNS, *([_BODY] if spec.options.get("body") else [])])


class Pages:
    """Collects the rows of a batch."""

    def __init__(self, part: Part, spec: SourceSpec, bad: BadRows, library: Any) -> None:
        self._part, self._spec, self._bad, self._library = part, spec, bad, library
        self._options = Options.model_validate(spec.options)
        self._schema, self._file = schema_of(spec), printable(part.name)
        self.rows: list[tuple[Any, ...]] = []
        self.size = 0

    def batch(self) -> tuple[pa.RecordBatch, Place]:
        """The rows so far, and the place of each."""
        texts, *others = zip(*self.rows)
        columns = [utf8_array(list(texts)), *(pa.array(c, f.type) for c, f in zip(others, list(self._schema)[1:]))]
        offsets = [row[len(_COLUMNS) - 1] for row in self.rows]
        self.rows, self.size = [], 0
        return pa.RecordBatch.from_arrays(columns, schema=self._schema), lambda rows: [offsets[int(r)] for r in rows]

    def gap(self, gap: Gap) -> None:
        """Quarantine bytes that are no record."""
        until = "the end of the file" if gap.end >= self._part.size else f"byte {gap.end}"
        self._quarantine(
            gap.offset, "truncated" if gap.ended else "bad-record", f"{gap.what}: nothing is read up to {until}"
        )

    def _quarantine(self, offset: int, reason: str, detail: str, raw: bytes = b"") -> None:
        self._bad.saw(1)
        self._bad.add(self._part.path, offset, reason, detail, raw)

    def _leave(self, what: str, record: Record) -> None:
        self._bad.leave_out(what, f"{self._part.name}, byte {record.offset}")

    def add(self, record: Record) -> None:
        """Take a record for a page, leave it out, or quarantine it."""
        if record.kind not in KINDS:
            self._leave(f"{record.kind} record", record)
            return
        whole = record.header + record.body + b"\r\n\r\n"
        if record.cut:  # its length must be that of what is there
            whole = re.sub(rb"(?i)(\ncontent-length:)[^\r\n]*", rb"\1 %d" % len(record.body), whole, count=1)
        try:
            warc = self._library.WarcRecord.from_reader(io.BytesIO(whole), quirks_mode=True)
            fields = self._fields(warc, record)
        except BodyError as error:
            self._quarantine(record.offset, "bad-record", str(error), record.body[:4096])
            return
        except (OSError, ValueError) as error:
            self._quarantine(record.offset, "bad-record", f"its headers are damaged ({error})", whole[:4096])
            return
        if fields is None:
            return
        text, charset, body, mime, status = fields
        stated = _stated(warc.http_headers) if warc.http_headers is not None else None
        headers = warc.headers
        url = (headers.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">")
        row: tuple[Any, ...] = (
            text,
            _clean(url),
            _clean(headers.get("WARC-Date")),
            _clean(mime),
            status,
            _clean(headers.get("WARC-Payload-Digest")),
            charset,
            _clean(headers.get("WARC-Truncated")),
            _clean((headers.get("WARC-Record-ID") or "").strip("<> ")),
            _clean(stated),
            self._file,
            record.offset,
        )
        self.rows.append(row + ((body,) if self._options.body else ()))
        self.size += len(text) + (len(body) if self._options.body else 0)

    def _fields(self, warc: Any, record: Record) -> tuple[bytes, str, bytes, str, int | None] | None:
        """(text, charset, body, media type, status) of a page; None for a record that is none."""
        limit = self._spec.max_document_bytes
        partial = bool(warc.headers.get("WARC-Truncated"))
        kind, mime = record.kind, _mime(warc.headers.get("Content-Type"))
        status: int | None = None
        charset = ""
        if kind == "metadata" and mime != "application/json":  # those of WAT files are
            self._leave("metadata record", record)
            return None
        if kind == "response" and "http" in mime:
            warc.is_http = True
            warc.parse_http(auto_decode="none", quirks_mode=True)
            http = warc.http_headers
            if http is None:
                raise BodyError("it has no HTTP header")
            status = http.status_code
            if self._options.status and status not in self._options.status:
                self._leave("redirect response" if 300 <= (status or 0) < 400 else "error response", record)
                return None
            mime, charset = _mime(http.get("Content-Type")), _charset(http.get("Content-Type"))
            if not self._is_page(mime):
                self._leave("non-HTML response", record)
                return None
            body = body_of(warc, limit, partial or record.cut)
        else:
            charset = _charset(warc.headers.get("Content-Type"))
            body = warc.reader.read()
            if kind in ("resource", "response") and not self._is_page(mime):
                self._leave(f"non-HTML {kind}", record)
                return None
        if not mime and not _LOOKS_LIKE_HTML.match(body[:4096]):
            self._leave(f"non-HTML {kind}", record)
            return None
        if record.cut or len(body) > limit:
            self._quarantine(record.offset, "too-long", f"more than max_document_bytes={limit}", body[:4096])
            return None
        text, used = as_utf8(body, charset)
        return text, used, body, mime, status

    def _is_page(self, mime: str) -> bool:
        text = self._options.types == "text" and (
            mime.startswith("text/") or mime in ("application/json", "application/xml")
        )
        return not mime or mime in _HTML or text


def _mime(value: str | None) -> str:
    return (value or "").partition(";")[0].strip().lower()


def _charset(value: str | None) -> str:
    found = re.search(r"charset\s*=\s*[\"']?([^\s;\"']+)", value or "", re.IGNORECASE)
    return found[1] if found else ""


def _stated(headers: Any) -> str | None:
    """The lines of an HTTP header that speak of rights, or None."""
    lines = [
        f"{name}: {value}"
        for name, value in headers
        if name.lower() in _OF_RIGHTS or (name.lower() == "link" and "license" in value.lower())
    ]
    return "\n".join(lines) or None


def _clean(value: str | None) -> str | None:
    """A header's value as text that can be stored; null where there is none."""
    return value.encode("utf-8", "replace").decode().strip() if value else None
