"""The documentation builds without a warning, and every step has its page."""

import logging

import pytest

from tests.docs.snippets import ROOT

mkdocs = pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra `docs`)")


def test_the_site_builds_strictly(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path)))
    page = (tmp_path / "steps" / "minhash.html").read_text()
    assert "Least Jaccard similarity of near-duplicates." in page
    assert "MB of text per CPU second" in page
    outside = [line for line in page.splitlines() if 'src="http' in line or 'rel="stylesheet" href="http' in line]
    assert not outside, "a page loads something from another host"
