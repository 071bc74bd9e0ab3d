"""HTML to plain text, by resiliparse."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.arrow import replace_rows
from corpusmill.transforms.errors import MissingDependencyError


def strip_html(texts: pa.Array) -> pa.Array:
    """Texts without tags, scripts and styles, with entities decoded and block elements on lines of their own.

    Rows without `<` and `&` stay as they are. Raises MissingDependencyError if resiliparse is not installed.

    >>> strip_html(pa.array(["<p>one &amp; <b>two</b></p><script>x()</script>", "plain"])).to_pylist()
    ['one & two', 'plain']
    """
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError as error:
        raise MissingDependencyError(
            "clean: `markup: html` needs the package resiliparse. Install it with: pip install 'corpusmill[text]'."
        ) from error
    mask = pc.match_substring_regex(texts, "[<&]").fill_null(False)
    if not pc.any(mask).as_py():
        return texts
    plain = [extract_plain_text(text, alt_texts=True, list_bullets=False) for text in texts.filter(mask).to_pylist()]
    return replace_rows(texts, mask.to_numpy(zero_copy_only=False), plain)
