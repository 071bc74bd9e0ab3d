"""Values as JSON that a page can show: plain data, without control and bidi characters."""

from __future__ import annotations

import math
from typing import Any

from corpusmill.pipelines.wording import clean


def safe(value: Any) -> Any:
    """The value with texts cleaned, and what JSON lacks as text or null.

    Values under names that begin with `_` are left as they are: ids, by which the page asks again, and which it never shows.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or abs(value) < 2**53 else str(value)
    if isinstance(value, dict):
        return {clean(str(k)): v if str(k)[:1] == "_" else safe(v) for k, v in value.items() if k != "_place"}
    if isinstance(value, list | tuple):
        return [safe(v) for v in value]
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
