"""Which files of a repository a file needs: its imports and includes, as far as they lead to files of the repository.

Found by patterns, without running or building anything, in Python, JavaScript, TypeScript, Go, Java, Kotlin, Scala, C, C++, Rust
and Ruby. What leads out of the repository, to the standard library or to packages, is no file of it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]*(?:\(([^()]{0,4000})\)|([^\n#;(]{1,1000}))|import[ \t]+([\w., \t]{1,1000}))",
    re.MULTILINE,
)
_SCRIPT = re.compile(r"(?:\bfrom[ \t]*|\bimport[ \t]*\(?[ \t]*|\brequire[ \t]*\([ \t]*)[\"']([^\"'\n]{1,300})[\"']")
_GO = re.compile(r"^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?\"([^\"\n]{1,300})\"[ \t]*(?://.*)?$", re.MULTILINE)
_GO_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)
_JVM = re.compile(r"^[ \t]*import[ \t]+(?:static[ \t]+)?(\w+(?:\.\w+){0,40})(\.(?:\*|_))?", re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"\n]{1,300})[>\"]", re.MULTILINE)
_RUST_MOD = re.compile(r"^[ \t]*(?:pub(?:\([^)]*\))?[ \t]+)?mod[ \t]+(\w+)[ \t]*;", re.MULTILINE)
_RUST_USE = re.compile(r"\buse[ \t]+(crate|super|self)((?:::\w+)+)")
_RUBY = re.compile(r"^[ \t]*require_relative[ \t(]+[\"']([^\"'\n]{1,300})[\"']", re.MULTILINE)

_SCRIPT_ENDINGS = ("", ".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".vue", ".svelte", ".json")
_JVM_ENDINGS = (".java", ".kt", ".scala", ".groovy")
_ROOTS = ("", "src", "lib", "source", "python", "include")
"""Folders, beside the file or above it, in which what it names is looked for."""


class Imports:
    """Finds what a file needs among the files of a repository."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts
        self._folders: dict[str, list[str]] = {}
        for path in texts:
            self._folders.setdefault(posixpath.dirname(path), []).append(path)
        self._by_name: dict[str, list[str]] = {}
        for path in sorted(texts):
            self._by_name.setdefault(posixpath.basename(path), []).append(path)
        modules = ((posixpath.dirname(p), _GO_MODULE.search(t)) for p, t in texts.items() if p.endswith("go.mod"))
        self._go = [(found[1], folder) for folder, found in modules if found]

    def of(self, path: str) -> list[str]:
        """The files that `path` needs, sorted, without itself."""
        ending = posixpath.splitext(path)[1].lower()
        reader = _READERS.get(ending)
        found = set(reader(self, path, self._texts[path])) if reader else set()
        return sorted(found - {path})

    def _there(self, candidates: Iterable[str]) -> str | None:
        return next((c for c in candidates if c in self._texts), None)

    def _above(self, path: str) -> Iterator[str]:
        """The folder of a file and those above it, each with its roots."""
        folder = posixpath.dirname(path)
        while True:
            for root in _ROOTS:
                yield posixpath.join(folder, root) if root else folder
            if not folder:
                return
            folder = posixpath.dirname(folder)

    def _python(self, path: str, text: str) -> Iterator[str]:
        for found in _PYTHON.finditer(text):
            if found[4] is not None:
                for name in found[4].split(","):
                    yield from self._module(path, name.split(" as ")[0].strip().replace(".", "/"))
                continue
            dots = len(found[1]) - len(found[1].lstrip("."))
            module = found[1][dots:].replace(".", "/")
            names = [n.split(" as ")[0].strip() for n in (found[2] or found[3] or "").replace("\n", " ").split(",")]
            if dots:
                folder = posixpath.dirname(path)
                for _ in range(dots - 1):
                    folder = posixpath.dirname(folder)
                base = posixpath.join(folder, module) if module else folder
                hits = [h for n in names if (h := self._there(_modules(posixpath.join(base, n))))]
                own = self._there(_modules(base))
                yield from hits or ([own] if own else [])
            else:
                hits = [h for n in names if n.isidentifier() for h in self._module(path, f"{module}/{n}")]
                yield from hits or self._module(path, module)

    def _module(self, path: str, module: str) -> list[str]:
        hit = self._there(c for f in self._above(path) for c in _modules(posixpath.join(f, module))) if module else None
        return [hit] if hit else []

    def _script(self, path: str, text: str) -> Iterator[str]:
        for found in _SCRIPT.finditer(text):
            name = found[1]
            if name.startswith((".", "/")):
                bases = [
                    posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) if name[0] == "." else name[1:]
                ]
            elif name.startswith(("@/", "~/")):
                bases = [posixpath.join(folder, name[2:]) for folder in self._above(path)]
            else:
                continue
            stems = [s for b in bases for s in (b, re.sub(r"\.[cm]?jsx?\Z", "", b))]
            hit = self._there(c for s in stems for e in _SCRIPT_ENDINGS for c in (s + e, f"{s}/index{e}"))
            if hit:
                yield hit

    def _go_files(self, path: str, text: str) -> Iterator[str]:
        head = text[: text.find("\nfunc ")] if "\nfunc " in text else text
        for found in _GO.finditer(head):
            for module, folder in self._go:
                if found[1] == module or found[1].startswith(module + "/"):
                    inner = posixpath.join(folder, found[1][len(module) :].strip("/")).rstrip("/")
                    yield from (
                        f for f in self._folders.get(inner, []) if f.endswith(".go") and not f.endswith("_test.go")
                    )

    def _jvm(self, path: str, text: str) -> Iterator[str]:
        for found in _JVM.finditer(text):
            pieces = found[1].split(".")
            # a name of a member may stand behind that of the class
            for length in range(len(pieces), max(0, len(pieces) - 2), -1):
                stem = "/".join(pieces[:length])
                hits = [
                    p
                    for e in _JVM_ENDINGS
                    for p in self._by_name.get(pieces[length - 1] + e, [])
                    if _ends(p, stem + posixpath.splitext(p)[1])
                ]
                if hits:
                    yield hits[0]
                    break
            else:
                if found[2]:
                    folder = "/".join(pieces)
                    inside = [f for home, files in self._folders.items() if _ends(home, folder) for f in files]
                    yield from (f for f in inside if f.endswith(_JVM_ENDINGS))

    def _c(self, path: str, text: str) -> Iterator[str]:
        for found in _INCLUDE.finditer(text):
            name = posixpath.normpath(found[1])
            near = self._there(posixpath.normpath(posixpath.join(f, name)) for f in self._above(path))
            same = [p for p in self._by_name.get(posixpath.basename(name), []) if _ends(p, name)]
            if near or len(same) == 1:
                yield near or same[0]

    def _rust(self, path: str, text: str) -> Iterator[str]:
        folder, name = posixpath.split(path)
        home = (
            folder if name in ("mod.rs", "lib.rs", "main.rs") else posixpath.join(folder, posixpath.splitext(name)[0])
        )
        for found in _RUST_MOD.finditer(text):
            hit = self._there(_rust_modules(posixpath.join(home, found[1])))
            if hit:
                yield hit
        for found in _RUST_USE.finditer(text):
            pieces = found[2].strip(":").split("::")
            start = {"super": posixpath.dirname(home), "self": home}.get(found[1], self._crate(folder))
            for length in range(len(pieces), 0, -1):
                hit = self._there(_rust_modules(posixpath.join(start, *pieces[:length])))
                if hit:
                    yield hit
                    break

    def _crate(self, folder: str) -> str:
        while folder and not self._there((f"{folder}/lib.rs", f"{folder}/main.rs")):
            folder = posixpath.dirname(folder)
        return folder

    def _ruby(self, path: str, text: str) -> Iterator[str]:
        for found in _RUBY.finditer(text):
            base = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[1]))
            hit = self._there((base, base + ".rb"))
            if hit:
                yield hit


def _modules(stem: str) -> tuple[str, ...]:
    return f"{stem}.py", f"{stem}/__init__.py", f"{stem}.pyi", f"{stem}.pyx"


def _rust_modules(stem: str) -> tuple[str, str]:
    return f"{stem}.rs", f"{stem}/mod.rs"


def _ends(path: str, tail: str) -> bool:
    return path == tail or path.endswith("/" + tail)


_READERS = {
    **dict.fromkeys((".py", ".pyi", ".pyx", ".ipynb"), Imports._python),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte"), Imports._script),
    ".go": Imports._go_files,
    **dict.fromkeys(_JVM_ENDINGS, Imports._jvm),
    **dict.fromkeys(
        (".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".m", ".mm", ".cu", ".cuh", ".inl"), Imports._c
    ),
    ".rs": Imports._rust,
    ".rb": Imports._ruby,
}
