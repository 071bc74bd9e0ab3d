"""The documentation found on any machine: a corpus to try things on, without a download.

docstrings   of every module, class and function of the standard library and the installed packages, by `ast`, never by
             import, from 100 characters on
metadata     the long descriptions of installed distributions (METADATA)
licences     LICENSE, COPYING and NOTICE files of installed distributions
man          manual pages, without their roff
doc          README, copyright and other text files below /usr/share/doc
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sysconfig
import threading
import warnings
from collections.abc import Iterator

import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.compressed import open_stream
from corpusmill.transforms.sources.files import FileRef, Part, digest_of
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema([("text", pa.string()), ("kind", pa.string()), ("path", pa.string()), ("title", pa.string())])
MIN_CHARACTERS = 100
MAX_FILE = 8 << 20
MAN, DOC = "/usr/share/man", "/usr/share/doc"
_PARSER = threading.Lock()
"""CPython 3.11 counts the depth of syntax trees for all threads together, and fails when two threads build one at a time;
the list of warning filters is one for all threads, too."""
_LICENCE = re.compile(r"^(licen[cs]e|copying|notice)", re.IGNORECASE)
_PROSE = re.compile(
    r"(^(readme|changelog|news|copyright|faq|todo|authors|thanks)|\.(txt|md|rst|html?)$)", re.IGNORECASE
)


def _kind(root: str, name: str) -> str | None:
    if root == MAN:
        return "man" if re.search(r"\.[1-9]\w*(\.gz)?$", name) else None
    base = os.path.basename(name)
    if root == DOC:
        return "doc" if _PROSE.search(base.removesuffix(".gz")) else None
    if name.endswith(".py"):
        return "docstrings"
    folder = os.path.dirname(name)
    if ".dist-info" in folder:
        if base == "METADATA":
            return "metadata"
        if _LICENCE.match(base) and not base.endswith((".py", ".pyc")):
            return "licences"
    return None


def docstrings(source: bytes, module: str) -> Iterator[tuple[str, str]]:
    """(qualified name, docstring) of a module and everything in it, in order of appearance.

    >>> long = "Words. " * 20
    >>> [name for name, _ in docstrings(f"class A:\\n  def f(self):\\n    '''{long}'''\\n".encode(), "m")]
    ['m.A.f']
    """
    if b'"""' not in source and b"'''" not in source:
        return
    with _PARSER, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    stack: list[tuple[ast.AST, str]] = [(tree, module)]
    while stack:
        node, name = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text and len(text) >= MIN_CHARACTERS:
                yield name, inspect.cleandoc(text)
            inner = [
                (
                    n,
                    f"{name}.{n.name}"
                    if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                    else name,
                )
                for n in node.body
            ]
            stack += reversed(inner)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            stack += [(n, f"{name}.{getattr(n, 'name', '')}".rstrip(".")) for n in reversed(node.body)]


_ROFF = (
    (re.compile(r"\\\(em|\\-"), "-"),
    (re.compile(r"\\\(aq|\\'"), "'"),
    (re.compile(r"\\\(dq"), '"'),
    (re.compile(r"\\\(bu"), "*"),
    (re.compile(r"\\f(\[\w*\]|\(\w\w|\w)|\\[&|/,:%^]|\\s[-+]?\d|\\m\[\w*\]"), ""),
    (re.compile(r"\\\*\(\w\w|\\\*\[\w+\]|\\\*\w|\\\(\w\w|\\\[\w+\]"), ""),
    (re.compile(r"\\[ ~0]"), " "),
    (re.compile(r"\\e"), r"\\"),
)
_HEADINGS, _PARAGRAPHS = ("SH", "SS", "Sh", "Ss"), ("PP", "P", "LP", "TP", "IP", "HP", "Pp", "sp", "br", "Bl", "It")
_FONTS = (
    "B",
    "I",
    "BR",
    "BI",
    "RB",
    "IR",
    "IB",
    "RI",
    "SM",
    "SB",
    "Nm",
    "Nd",
    "Ar",
    "Op",
    "Fl",
    "Xr",
    "Cm",
    "Ic",
    "Pa",
    "Em",
    "Sy",
    "Ql",
)


def without_roff(source: str) -> str:
    """The text of a manual page without the requests and escapes of roff (man and mdoc macros).

    >>> print(without_roff('.SH NAME\\nls \\\\- list\\n.PP\\n.B Words\\n'))
    NAME
    ls - list
    <BLANKLINE>
    Words
    """
    out: list[str] = []
    ignored = ""
    for line in source.splitlines():
        if ignored:  # the body of a macro definition
            ignored = "" if line.startswith(ignored) else ignored
            continue
        if line.startswith((".", "'")):
            request, _, rest = line[1:].strip().partition(" ")
            if request in ("de", "ig", "am"):
                words = rest.split()
                ignored = "." + (
                    words[1] if request != "ig" and len(words) > 1 else words[0] if request == "ig" and words else "."
                )
            elif request in _HEADINGS:
                out += ["", rest.strip().replace('"', "")]
            elif request in _PARAGRAPHS:
                out.append("")
                if request in ("It", "IP") and rest:
                    out.append(rest.split('"')[1] if rest.startswith('"') and rest.count('"') > 1 else rest)
            elif request in _FONTS:
                out.append(rest.replace('"', ""))
            continue
        out.append(line)
    text = "\n".join(out)
    for pattern, replacement in _ROFF:
        text = pattern.sub(replacement, text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


class MachineDocs(Format):
    """The documentation of this machine; a source of it has no `path`."""

    name = "machine-docs"
    needs_path = False
    by_bytes = True
    shows_names = True
    small = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def find(self, spec: SourceSpec, path: str) -> list[FileRef]:
        """The files that exist here, sorted. A digest is that of (name, size, time of change): these trees change by upgrades,
        and reading gigabytes of them to list them would take longer than to use them."""
        paths = sysconfig.get_paths()
        roots = dict.fromkeys([paths["stdlib"], paths["purelib"], paths["platlib"], MAN, DOC])
        labels = {paths["stdlib"]: "stdlib", MAN: "man", DOC: "doc"}
        out: dict[str, FileRef] = {}
        for root in roots:
            if not os.path.isdir(root):
                continue
            for entry in storage.walk(root):
                name = entry.uri[len(root) + 1 :]
                if root == paths["stdlib"] and name.startswith(("site-packages/", "dist-packages/")):
                    continue
                kind = _kind(root, name)
                if kind in spec.kinds and 0 < entry.size <= MAX_FILE and not os.path.islink(entry.uri):
                    name = f"{kind}/{labels.get(root, 'site-packages')}/{name}"
                    digest = digest_of(name, entry.size, entry.stamp.partition(".")[0])
                    out[entry.uri] = FileRef(entry.uri, name, "machine-docs", entry.size, "", digest)
        chosen = sorted(out.values(), key=lambda f: digest_of(f.name))[: spec.limit] if spec.limit else out.values()
        return sorted(chosen)

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The documents of one file: none, one, or (docstrings) many."""
        kind, _, rest = part.name.partition("/")
        chunks, size = [], 0
        with open_stream(part.path, budget) as stream:
            while data := stream.read(1 << 20):
                chunks.append(data)
                size += len(data)
                if size > spec.max_document_bytes:
                    bad.saw(1)
                    bad.add(
                        part.path, 1, "too-long", f"more than max_document_bytes={spec.max_document_bytes}", chunks[0]
                    )
                    return
        raw = b"".join(chunks)
        pairs: list[tuple[str | bytes, str]]
        try:
            if kind == "docstrings":
                module = rest.partition("/")[2].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                pairs = [(text, title) for title, text in docstrings(raw, module)]
            else:
                text = raw.decode()
                text = (
                    text.partition("\n\n")[2] if kind == "metadata" else without_roff(text) if kind == "man" else text
                )
                pairs = [(text, os.path.basename(rest))] if text.strip() else []
        except (SyntaxError, RecursionError, MemoryError) as error:
            bad.saw(1)
            bad.add(part.path, 1, "bad-file", f"cannot be parsed as Python ({type(error).__name__})", raw)
            return
        except UnicodeDecodeError:
            pairs = [(raw, os.path.basename(rest))]
        except ValueError as error:  # null bytes in source, escapes that make no character
            bad.saw(1)
            bad.add(part.path, 1, "bad-file", f"cannot be parsed as Python ({error})", raw)
            return
        if pairs:
            texts = pa.array(
                [t if isinstance(t, bytes) else t.encode("utf-8", "surrogatepass") for t, _ in pairs], pa.binary()
            )
            same = [pa.repeat(pa.scalar(printable(v), pa.string()), len(pairs)) for v in (kind, rest)]
            titles = pa.array([printable(title) for _, title in pairs], pa.string())
            batch = pa.RecordBatch.from_arrays([texts, *same, titles], names=SCHEMA.names)
            yield batch, lambda numbers: [int(r) + 1 for r in numbers]
