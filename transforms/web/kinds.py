"""What kind of page a page is, by its blocks and by those that were taken for main content.

content   it has main content
list      links to other pages are most of what it shows: a front page, a category, results of a search
notice    little but a cookie notice, a demand to enable JavaScript, a captcha, a login wall or an error
empty     nothing of these
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import ANCESTRY, LINK_BYTES, START, STOP, STOPS, WORDS, Blocks

Kind = Literal["content", "list", "notice", "empty"]
KINDS: tuple[Kind, ...] = ("content", "list", "notice", "empty")
_HIDDEN = 1 << tags.ANCESTORS.index("hidden")
_FEW, _SHORT, _LINKS, _PROSE = 15, 400, 10, 60
_NOTICE_CHARACTERS = 8_000
"""A longer text is no notice, however few words it has: Chinese is written without blanks."""
_NOTICE = re.compile(
    r"cookies?\b|\bconsent|\bgdpr\b|javascript|enable (?:js|scripts)|captcha|not a robot|access denied|forbidden|unusual traffic"
    r"|verify (?:that )?you are (?:a )?human|checking your browser|page not found|error 40[34]|404 not found|does not exist"
    r"|please (?:log|sign) in|subscribers? only|privacy (?:policy|settings)|ad ?blocker|unsupported browser|update your browser"
    r"|datenschutz|einwilligung|zustimm|seite nicht gefunden|confidentialité|consentement|page introuvable|privacidad"
    r"|consentimiento|página no encontrada|informativa|pagina non trovata|toestemming|zgod[aęy]|ciastecz|соглас|не найден"
    r"|同意|クッキー|見つかりません|쿠키|未找到|不存在"
)
"""Of text in lower case: a pattern of any case is searched four times slower."""


def kind_of(blocks: Blocks, keep: np.ndarray, text: str) -> Kind:
    """The kind of a page. keep: bool [n], the blocks taken for main content; text: what they say."""
    values = blocks.values
    if not len(values):
        return "empty"
    words = int(values[keep, WORDS].sum())
    notice = words >= _FEW and _is_notice(text, words) and not _is_beside(blocks, np.flatnonzero(keep), words)
    if words >= _FEW and not notice and not _is_linked(values[keep]):
        return "content"
    shown = values[(values[:, ANCESTRY] & _HIDDEN) == 0]
    if _is_linked(shown) and int((shown[:, LINK_BYTES] > 0).sum()) >= _LINKS:
        return "list"
    if words < _FEW:
        every = " ".join(blocks.strings(range(min(len(values), 400))))
        return "notice" if _is_notice(every, int(shown[:, WORDS].sum())) else "empty"
    return "notice" if notice else "content"


def kind_of_text(text: str) -> Kind:
    """The kind of a page of which only the main content is known."""
    words = len(text.split())
    return "notice" if _is_notice(text, words) else "content" if words >= _FEW or len(text) >= 4 * _FEW else "empty"


def _is_notice(text: str, words: int) -> bool:
    """Whether a short text speaks of what stands before a page: once in forty words, and in several terms unless it is very
    short, so that an article about cookies is none."""
    if words > _SHORT or len(text) > _NOTICE_CHARACTERS:
        return False
    found = [m.rstrip("s") for m in _NOTICE.findall(text.lower())]
    terms = len(set(found))
    return len(found) * 40 >= max(words, 1) and terms >= (1 if words < 40 else 2) and (words < 120 or len(found) >= 4)


def _is_beside(blocks: Blocks, kept: np.ndarray, words: int) -> bool:
    """Whether most of the text that is kept stands in blocks that do not speak of it: an article with a notice beside it."""
    own = blocks.values[kept, WORDS]
    terms = np.array([len(_NOTICE.findall(block.lower())) for block in blocks.strings(kept.tolist())])
    rest = int(own[(40 * terms < own) & (blocks.values[kept, STOPS] > 0)].sum())
    return rest >= _PROSE and 2 * rest > words


def _is_linked(values: np.ndarray) -> bool:
    """Whether more than half of the text is links, and sentences outside of links are few."""
    size = values[:, STOP] - values[:, START]
    linked = values[:, LINK_BYTES]
    prose = (values[:, STOPS] > 0) & (2 * linked < size) & (values[:, WORDS] >= 12)
    return bool(2 * linked.sum() > size.sum() and 4 * size[prose].sum() < size.sum())
