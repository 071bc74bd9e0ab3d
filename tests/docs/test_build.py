"""The documentation builds without a warning, and every step has its page."""

import logging

import pytest
import yaml

from corpusmill.pipelines.recipe.registry import usable
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


@pytest.mark.parametrize("step", usable().values(), ids=lambda step: step.name)
def test_the_example_of_a_step_has_the_fields_of_the_step(step):
    written = yaml.safe_load(step.example) if step.example else {}
    needed = {name for name, field in step.model_fields.items() if field.is_required()}
    if step.example:
        assert needed <= set(written)
        step.model_validate(written)
