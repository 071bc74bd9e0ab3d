"""The process in which pdfium reads files that anyone may have written: `python -m corpusmill.transforms.sources.pdf.child`.

It reads requests from its standard input and writes answers to its standard output: a JSON line each, that of a request followed
by the bytes of the file. It limits its own memory, and the processor time of each file; the parent takes its death for an
answer.
"""

from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

from corpusmill.transforms.sources.pdf.furniture import without_furniture
from corpusmill.transforms.sources.pdf.native import Line, lines
from corpusmill.transforms.sources.pdf.order import in_order
from corpusmill.transforms.sources.pdf.paragraphs import text_of

_ERRORS = {
    3: ("pdf-damaged", "is no PDF, or damaged"),
    4: ("pdf-encrypted", "is encrypted, and opens only with a password"),
    5: ("pdf-encrypted", "is encrypted by a security scheme that pdfium does not know"),
}
"""By the codes of FPDF_GetLastError."""


def read(data: bytes, longest: int, furniture: bool) -> dict[str, Any]:
    """What a file holds: text, starts, title, empty (pages without text); or reason and detail.

    Args:
        data: the file.
        longest: a text of more characters than this is refused.
        furniture: keep headers, footers and page numbers.
    """
    import pypdfium2.raw as api

    document = api.FPDF_LoadMemDocument64(data, len(data), None)
    if not document:
        code = api.FPDF_GetLastError()
        reason, detail = _ERRORS.get(code, ("pdf-damaged", f"cannot be opened (pdfium error {code})"))
        return {"reason": reason, "detail": detail}
    try:
        count = api.FPDF_GetPageCount(document)
        if count <= 0:
            return {"reason": "pdf-damaged", "detail": "has no pages"}
        pages: list[list[Line]] = []
        size = faulty = 0
        for number in range(count):
            page = api.FPDF_LoadPage(document, number)
            if not page:
                faulty += 1
                pages.append([])
                continue
            try:
                pages.append(in_order(lines(page, api)))
            finally:
                api.FPDF_ClosePage(page)
            size += sum(len(line.text) for line in pages[-1])
            if size > longest:
                return {"reason": "too-long", "detail": f"more than {longest} characters"}
        if faulty == count:
            return {"reason": "pdf-damaged", "detail": f"none of its {count} pages can be read"}
        if not size:
            return {"reason": "pdf-no-text", "detail": f"{count} pages, and no text on them: scanned, or drawings"}
        empty = sum(not lines for lines in pages)
        text, starts = text_of(pages if furniture else without_furniture(pages))
        return {
            "text": text,
            "starts": starts,
            "empty": empty - faulty,
            "faulty": faulty,
            "title": _title(document, api),
        }
    finally:
        api.FPDF_CloseDocument(document)


def _title(document: Any, api: Any) -> str:
    import ctypes

    size = api.FPDF_GetMetaText(document, b"Title", None, 0)
    if not 2 < size < 4096:
        return ""
    buffer = ctypes.create_string_buffer(size)
    api.FPDF_GetMetaText(document, b"Title", buffer, size)
    title = buffer.raw[: size - 2].decode("utf-16-le", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in title).split())


def limit(seconds: int, memory: int) -> None:
    """Let the process end after this much more processor time, and refuse it more memory than this."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are none."""
    import pypdfium2.raw as api

    api.FPDF_InitLibrary()
    answers.write(b"{}\n")
    answers.flush()
    while head := requests.readline():
        request = json.loads(head)
        data = requests.read(request["size"])
        if len(data) < request["size"]:
            return
        limit(request["seconds"], request["memory"])
        try:
            answer = read(data, request["longest"], request["furniture"])
        except MemoryError:
            answer = {"reason": "pdf-limits", "detail": "needs too much memory"}
        except Exception as error:  # one file must not end a run, whoever is to blame
            what = f"{type(error).__name__}: {error}"
            answer = {
                "reason": "pdf-crash",
                "detail": f"cannot be read by a defect of corpusmill ({what}); please report it",
            }
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing but answers goes to the parent
    serve(sys.stdin.buffer, out)
