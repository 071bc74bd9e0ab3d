"""Values on their way to the page: plain, and without what a terminal or a browser would obey."""

import datetime
import json

from corpusmill.pipelines.browse.safe import safe


def test_values_become_plain_json():
    value = {"a\u202e": ["x\x1b[31m", b"\xff", 2**60, -3, float("nan"), None, True], "when": datetime.date(2026, 1, 2)}
    found = safe(value)
    assert found == {"a\ufffd": ["x\ufffd[31m", "\ufffd", str(2**60), -3, None, None, True], "when": "2026-01-02"}
    json.dumps(found, allow_nan=False)


def test_ids_by_which_the_page_asks_again_stay_and_places_do_not():
    assert safe({"_id": "a\u202e", "_place": ["file", 3]}) == {"_id": "a\u202e"}
