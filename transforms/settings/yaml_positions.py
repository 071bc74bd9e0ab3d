"""YAML with positions: keeps line and column of every key and value, so that a mistake is shown at its line with a caret.

Values are those of `yaml.safe_load`, except that `1e-5` is a number, as in YAML 1.2. Settings do not need what makes YAML
dangerous or ambiguous, so it is refused: anchors and aliases (a 324-byte file can expand to 9^9 entries), tags, duplicate
keys, merge keys, several documents in one file, keys that are not text, nesting deeper than 50, more than 1 MB, and
encodings other than UTF-8. Each is collected as a `Problem`: no content of a file makes this module raise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import yaml

from corpusmill.transforms.display import printable
from corpusmill.transforms.secrets import mask

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_SCALAR = 200  # characters of a number or date: parsing long integers takes quadratic time
WINDOW = 110  # characters shown of a long source line

Path = tuple[str | int, ...]
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # the line breaks of YAML 1.1


@dataclass(frozen=True)
class Spot:
    """A stretch of one line of a file. `document` names the file, `source` is the line's text, `line` and `column` count from 1."""

    document: str
    source: str
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.document}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what is wrong, and what to do about it."""

    spot: Spot
    what: str
    advice: str = ""

    def render(self) -> str:
        """`file:line:col: what`, the source line, and a caret with the advice."""
        begin = self.spot.column - 1
        source, cut = self.spot.source, 0
        if len(source) > WINDOW:
            cut = max(0, min(begin - WINDOW // 2, len(source) - WINDOW))
            source = source[cut : cut + WINDOW]
        number = f"{self.spot.line:>5} | "
        blank = " " * 5 + " | "
        lead = "".join(_blank(c) for c in source[: begin - cut])
        marked = source[begin - cut : begin - cut + self.spot.width]
        carets = "^" * max(1, sum(len(_blank(c)) for c in marked))
        advice = f" {self.advice}" if self.advice else ""
        return f"{self.spot}: {self.what}\n{number}{printable(mask(source))}\n{blank}{lead}{carets}{advice}"


@dataclass
class Marked:
    """A parsed file: its value, the spots of its keys and values, and its problems.

    `keys` and `values` map a path, such as ("steps", 2, "minhash", "threshold"), to its spot.

    >>> m = parse(b"a: {b: 1}", "x.yaml")
    >>> m.value, str(m.values["a", "b"])
    ({'a': {'b': 1}}, 'x.yaml:1:8')
    """

    name: str
    lines: list[str]
    value: Any = None
    keys: dict[Path, Spot] = field(default_factory=dict)
    values: dict[Path, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def spot(self, line: int, column: int, width: int = 1) -> Spot:
        """The spot at `line` and `column`, which count from 0 here."""
        source = self.lines[line] if line < len(self.lines) else ""
        return Spot(self.name, source, line + 1, column + 1, max(1, min(width, len(source) - column)))

    def find(self, path: Path, key: bool = False) -> Spot:
        """The spot of the value at `path` (with `key`: of its key), or of the nearest parent that the file has."""
        for n in range(len(path), -1, -1):
            table = self.keys if key and path[:n] in self.keys else self.values
            if path[:n] in table:
                return table[path[:n]]
        return self.spot(0, 0)


def parse(data: bytes, name: str) -> Marked:
    """Parse `data` as one YAML document. Messages call it `name`."""
    if len(data) > MAX_BYTES:
        text = data[:200].decode("utf-8", "replace")
        marked = Marked(name, _BREAK.split(text))
        what = f"the file has {len(data):,} bytes; a file of settings has at most {MAX_BYTES:,}"
        marked.problems.append(Problem(marked.spot(0, 0), what, "is this a data file?"))
        return marked
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        lines = _BREAK.split(data[: error.start].decode("utf-8"))
        marked = Marked(name, _BREAK.split(data.decode("utf-8", "replace")))
        what = f"byte 0x{data[error.start]:02x} is not valid UTF-8"
        marked.problems.append(Problem(marked.spot(len(lines) - 1, len(lines[-1])), what, "save the file as UTF-8"))
        return marked
    text = text.removeprefix("\ufeff")
    marked = Marked(name, _BREAK.split(text))
    try:
        loader = _Loader(text, marked)
        try:
            node = loader.get_single_node()
            if node is not None:
                marked.value = loader.build(node, ())
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        lines = _BREAK.split(text[: error.position])
        spot = marked.spot(len(lines) - 1, len(lines[-1]))
        marked.problems.append(Problem(spot, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"))
    except yaml.MarkedYAMLError as error:
        marked.problems.append(_syntax(marked, error))
    return marked


class _Loader(yaml.SafeLoader):
    """Builds the values of one document with their spots, and notes what this module refuses."""

    def __init__(self, text: str, marked: Marked) -> None:
        super().__init__(text)
        self.marked = marked
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        refuse = partial(self.refuse, event)
        if isinstance(event, yaml.AliasEvent):
            refuse(f"the alias `*{event.anchor}` is not allowed here", "write the value out")
            self.get_event()
            marks: Any = event.start_mark, event.end_mark
            return yaml.ScalarNode("tag:yaml.org,2002:null", "", *marks)
        if event.anchor is not None:
            refuse(f"the anchor `&{event.anchor}` is not allowed here", "remove it")
            event.anchor = None
        if event.tag is not None:
            refuse(f"the tag `{event.tag}` is not allowed here", "remove it: plain YAML values are enough")
            event.tag = None
            event.implicit = (True, False) if isinstance(event, yaml.ScalarEvent) and not event.style else (False, True)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def refuse(self, at: Any, what: str, advice: str = "") -> None:
        spot = self.spot_of(at)
        if getattr(at, "anchor", None) is not None and not isinstance(at, yaml.AliasEvent):
            spot = self.marked.spot(at.start_mark.line, at.start_mark.column, len(at.anchor) + 1)
        self.marked.problems.append(Problem(spot, what, advice))

    def spot_of(self, at: Any) -> Spot:
        begin, end = at.start_mark, at.end_mark
        width = end.column - begin.column if end.line == begin.line else 1_000_000
        return self.marked.spot(begin.line, begin.column, width)

    def build(self, node: Any, path: Path) -> Any:
        self.marked.values[path] = self.spot_of(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            mapping: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = self.key(key_node)
                if key is None:
                    continue
                if key in mapping:
                    first = self.marked.keys[(*path, key)]
                    self.refuse(key_node, f"the key `{key}` is given twice", f"it is already on line {first.line}")
                    continue
                self.marked.keys[(*path, key)] = self.spot_of(key_node)
                mapping[key] = self.build(value_node, (*path, key))
            return mapping
        return self.scalar(node)

    def key(self, node: Any) -> str | None:
        """The key as text, or None after noting why it is not text."""
        if not isinstance(node, yaml.ScalarNode):
            self.refuse(node, "a key must be a word", "is a quote or a closing bracket missing?")
        elif node.tag == "tag:yaml.org,2002:merge":
            self.refuse(node, "the merge key `<<` is not allowed here", "write the entries out")
        elif node.tag != "tag:yaml.org,2002:str":
            value = self.scalar(node)
            self.refuse(node, f"YAML reads the key `{node.value}` as {word_for(value)}", f'quote it: "{node.value}"')
        else:
            return str(node.value)
        return None

    def scalar(self, node: Any) -> Any:
        if node.tag != "tag:yaml.org,2002:str" and len(node.value) > MAX_SCALAR:
            self.refuse(node, f"a number or date of {len(node.value):,} characters", "quote it if it is text")
            return None
        try:
            return self.construct_object(node)
        except (ValueError, OverflowError, KeyError, yaml.constructor.ConstructorError) as error:
            reason = str(error).splitlines()[0] if not isinstance(error, yaml.MarkedYAMLError) else "not a plain value"
            self.refuse(node, f"`{node.value}` cannot be read: {reason}", f'quote it if it is text: "{node.value}"')
            return None


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+\Z"), list("-+0123456789")
)


def word_for(value: Any) -> str:
    """What a user calls a value of this type, as in "a whole number"."""
    names: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "a mapping (`key: value`)", type(None): "nothing (null)"}
    return names.get(type(value), f"a {type(value).__name__}")


def _blank(char: str) -> str:
    if char == "\t":
        return "\t"
    if unicodedata.combining(char):
        return ""
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "


_ADVICE: list[tuple[Callable[[str], bool], str, str]] = [
    (lambda p: "'\\t'" in p, "a tab where YAML allows only spaces", "indent with spaces"),
    (lambda p: "mapping values are not allowed" in p, "", "is an indentation wrong, or a text with `: ` not quoted?"),
    (lambda p: "expected a single document" in p or "but found another" in p, "", "keep one document in a file"),
    (lambda p: "could not find expected ':'" in p, "", "a key needs a colon and a space behind it"),
    (lambda p: "end of stream" in p, "", "is a closing quote missing?"),
    (lambda p: "expected ',' or" in p, "", "is a comma or a closing bracket missing?"),
    (lambda p: "expected <block end>" in p, "", "entries of one list or mapping start in the same column"),
]


def _syntax(marked: Marked, error: yaml.MarkedYAMLError) -> Problem:
    """A syntax error of the parser as a `Problem`."""
    mark = error.problem_mark or error.context_mark
    spot = marked.spot(mark.line, mark.column) if mark else marked.spot(0, 0)
    text = " ".join(filter(None, [error.context, error.problem]))
    for matches, what, advice in _ADVICE:
        if matches(text):
            return Problem(spot, what or f"not valid YAML: {text}", advice)
    return Problem(spot, f"not valid YAML: {text}")
