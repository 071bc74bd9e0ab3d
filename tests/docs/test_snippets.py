"""Every command and snippet of README, docs/ and examples/ runs, or says what it needs."""

import runpy

import pytest

from tests.docs.snippets import ROOT, Session, blocks

pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra `docs`)")
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
NO_CODE = ("docs/benchmarks",)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_shows_runs(page, tmp_path):
    session = Session(tmp_path)
    for block in blocks(page.read_text(encoding="utf-8")):
        session.run(block)


def test_the_examples_of_steps_are_right():
    steps = runpy.run_path(str(ROOT / "docs/_build/steps.py"))
    for name, text in steps["pages"]().items():
        if name != "index":
            for block in blocks(text):
                if block.language == "yaml" and "..." not in block.text:
                    from tests.docs.snippets import check_yaml

                    check_yaml(block)


def test_a_wrong_block_is_found(tmp_path):
    session = Session(tmp_path)
    for text in (
        "```sh\nfalse\n```",
        "```yaml\n- clena\n```",
        "```python\n1 / 0\n```",
        "```ruby\n1\n```",
        "<!-- tested by: no/such_file.py -->\n```sh\nfalse\n```",
    ):
        with pytest.raises(Exception, match=r"line|clena|division"):
            [session.run(block) for block in blocks(text)]
