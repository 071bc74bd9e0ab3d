"""Lines of a PDF page with their places, as pdfium gives them."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

_HYPHEN = "\ufffe"
"""What pdfium writes for a hyphen at the end of a line, in place of the hyphen and the line break."""


class Line(NamedTuple):
    """A line of text. left, bottom, right, top: its box in points, from the lower left corner of the page; broken: a hyphen at
    its end was taken off."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    broken: bool = False

    @property
    def height(self) -> float:
        """Points, never 0."""
        return max(self.top - self.bottom, 0.1)


def lines(page: Any, api: Any) -> list[Line]:
    """The lines of an opened page, in the order in which the file draws them.

    Args:
        page: a raw FPDF_PAGE of pypdfium2.
        api: the module pypdfium2.raw.
    """
    text_page = api.FPDFText_LoadPage(page)
    if not text_page:
        return []
    try:
        count = api.FPDFText_CountChars(text_page)
        if count <= 0:
            return []
        buffer = (ctypes.c_ushort * (count + 1))()
        # counts the closing zero
        written = api.FPDFText_GetText(text_page, 0, count, buffer)
        text = bytes(buffer)[: 2 * max(0, written - 1)].decode("utf-16-le", "replace")
        return _boxed(text, text_page, api, written - 1 == count)
    finally:
        api.FPDFText_ClosePage(text_page)


def _boxed(text: str, text_page: Any, api: Any, same: bool) -> list[Line]:
    """same: the numbers of characters in the text are those that pdfium gives them on the page."""
    box = api.FS_RECTF()

    def at(unit: int) -> tuple[float, float, float, float] | None:
        index = unit if same else api.FPDFText_GetCharIndexFromTextIndex(text_page, unit)
        if index < 0 or not api.FPDFText_GetLooseCharBox(text_page, index, box):
            return None
        return box.left, box.bottom, box.right, box.top

    out: list[Line] = []
    wide = not text.isascii() and max(text) > "\uffff"
    unit = 0  # text is counted in units of UTF-16
    for row in text.split("\n"):
        pieces = row.split(_HYPHEN)
        for number, piece in enumerate(pieces):
            size = len(piece) if not wide else len(piece.encode("utf-16-le")) // 2
            shown = piece.strip()
            if plain := _plain(shown).strip():
                before = len(piece) - len(piece.lstrip())
                length = len(shown) if not wide else len(shown.encode("utf-16-le")) // 2
                first = at(unit + before)
                last = at(unit + before + length - 1)
                first, last = first or last, last or first
                if first and last:
                    place = (
                        min(first[0], last[0]),
                        min(first[1], last[1]),
                        max(first[2], last[2]),
                        max(first[3], last[3]),
                    )
                else:
                    place = (0.0, 0.0, 0.0, 0.0)
                out.append(Line(plain, *place, broken=number < len(pieces) - 1))
            elif number and out and number == len(pieces) - 1:
                # a hyphen at the end of the page's last line
                out[-1] = out[-1]._replace(broken=True)
            unit += size + 1
    return out


def _plain(text: str) -> str:
    """The text without control characters, which damaged tables of characters give."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c.isprintable() or c in "\t\u200b\u200c\u200d\u2060\xa0\xad\u3000").replace(
        "\xad", ""
    )
