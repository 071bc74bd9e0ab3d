"""The page of `corpusmill browse` in a real browser: every view and control, wide and narrow, light and dark."""

import pytest

from tests.browser import NARROW, WIDE, browser, needs_chromium
from tests.pipelines.browse.serving import serving
from tests.pipelines.coverage.corpus import make
from tests.pipelines.report.hostile import hostile, packed
from tests.pipelines.report.test_topics import documents

pytestmark = needs_chromium
READY = "/row|No /.test(document.querySelector('.count')?.textContent)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browse")
    with serving(hostile(folder / "hostile"), packed(folder / "packed")) as client:
        yield client


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    with serving(make(tmp_path_factory.mktemp("topics"), documents()).path) as client:
        yield client


def check(tab, client, name):
    """No serious finding, no overflow, no error, no request elsewhere."""
    assert tab.axe() == []
    assert tab.overflow() <= 0
    assert tab.errors == []
    assert {r.split("?")[0].startswith(client.address) for r in tab.requests} == {True}
    assert "ran" not in tab.js("document.title")
    tab.shot(f"browse-{name}")


def rows(tab):
    return tab.js("document.querySelectorAll('.rows tbody tr').length")


def test_documents_are_searched_filtered_sorted_and_opened(made):
    with browser() as tab:
        tab.open(made.address)
        tab.until(f"{READY} && document.querySelectorAll('.rows tbody tr').length == 16")
        check(tab, made, "documents")
        tab.type("input[type=search]", "word1[0-9] that")
        tab.js("document.querySelector('[role=search] select').value = 'regex'")
        tab.click("button", "Search")
        tab.until("document.querySelector('.count').textContent.startsWith('1 row')")
        tab.click(".rows tbody button")
        tab.until("document.querySelector('.detail .graph')")
        assert "twin a" in tab.js("document.querySelector('.detail').innerText")
        check(tab, made, "lineage")
        tab.js("document.querySelector('.graph .go')?.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))")
        tab.until("document.querySelector('.detail h2')?.textContent.includes('twin b')")
        tab.click("button", "Close")
        tab.type("input[type=search]", "")
        tab.js("document.querySelector('input[type=search]').value = ''")
        tab.click("button", "Search")
        tab.click("button", "Filter")
        tab.until("document.querySelectorAll('dialog .tools button').length > 1")
        tab.js(
            "(e => { e.value = 'license'; e.dispatchEvent(new Event('change')); })(document.querySelector('dialog select'))"
        )
        tab.until("document.querySelector('dialog').innerText.includes('MIT<b>')")
        check(tab, made, "filter")
        tab.click("dialog button", "CC0")
        tab.until("document.querySelector('.count').textContent.startsWith('9 rows')")
        tab.click(".rows th button", "gopher-quality.words")
        tab.until("document.querySelector('th[aria-sort=descending]')")
        tab.click("button", "Export")
        tab.until("document.querySelector('dialog pre').textContent.includes('where')")
        check(tab, made, "export")


def test_the_slider_counts_and_shows_what_changes_sides(made):
    with browser() as tab:
        tab.open(made.address + "#thresholds")
        tab.until("document.querySelector('.big strong')")
        tab.js("""(e => { e.value = [...e.options].findIndex(o => o.text.includes('min_stop_words'));
            e.dispatchEvent(new Event('change')); })(document.querySelector('main select'))""")
        tab.until("document.querySelector('input[type=range]')?.getAttribute('aria-label').startsWith('min_stop')")
        tab.until("document.querySelectorAll('.big strong').length == 4")
        assert tab.js("document.querySelectorAll('.big strong')[3].textContent") == "0"
        tab.js("document.querySelector('input[type=range]').focus()")
        tab.key("Home")
        tab.until("document.querySelectorAll('.big strong')[3]?.textContent == '1'")
        tab.until("document.querySelector('.sides').innerText.includes('שלום')")
        assert "min_stop_words: 0" in tab.js("document.querySelector('details pre').textContent")
        check(tab, made, "thresholds")


def test_dropped_pairs_quarantine_and_snapshots(made):
    with browser() as tab:
        tab.open(made.address + "#dropped")
        tab.until(f"{READY} && document.querySelector('.rows tbody tr')")
        tab.type("input[type=search]", "and one more")
        tab.click("button", "Search")
        tab.until("document.querySelector('.count').textContent == '1 row'")
        assert "that have and one more" in tab.js("document.querySelector('.rows tbody').innerText")
        check(tab, made, "dropped")
        tab.click("nav a", "Near-duplicates")
        tab.until("location.hash == '#pairs' && document.querySelectorAll('.rows tbody tr').length == 1")
        tab.click(".rows tbody button")
        tab.until("document.querySelector('.detail ins')")
        assert "and one more" in tab.js("document.querySelector('.detail ins').textContent")
        check(tab, made, "pairs")
        tab.click("nav a", "Quarantine")
        tab.until(
            "location.hash == '#quarantine' && document.querySelector('.rows tbody')?.innerText.includes('null-text')"
        )
        check(tab, made, "quarantine")
        tab.click("nav a", "Compare")
        tab.until("document.querySelector('main table button')?.textContent == 'new'")
        tab.click("main table button")
        tab.until("document.querySelector('.diff ins')")
        check(tab, made, "compare")
        tab.js("(e => { e.value = 1; e.dispatchEvent(new Event('change')); })(document.getElementById('dataset'))")
        tab.until("document.querySelector('.caution')?.textContent.includes('one snapshot')")
        tab.click("nav a", "Documents")
        tab.until("document.querySelector('.rows tbody button')")
        tab.click(".rows tbody button")
        tab.until("document.querySelector('.detail .piece')")
        check(tab, made, "rows")


def test_the_map_leads_to_the_documents_of_a_cluster(topics):
    with browser() as tab:
        tab.open(topics.address + "#map")
        tab.until("document.querySelectorAll('.treemap rect').length > 3")
        check(tab, topics, "map")
        tab.click("tbody button", "topicb")
        tab.until("document.querySelector('.detail article button')")
        assert "topicbb" in tab.js("document.querySelector('.detail pre').textContent").replace("term", "")
        check(tab, topics, "cluster")
        tab.click(".detail article button")
        tab.until("document.querySelector('.detail .graph')")
        tab.click(".detail button", "Back")
        tab.until("document.querySelector('.detail article button')")
        tab.click(".detail button", "Close")
        tab.js("document.querySelector('.treemap .go').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
        tab.until("document.querySelector('.detail article button')")
        tab.open(topics.address + "#map", NARROW, True)
        tab.until("document.querySelectorAll('tbody tr').length > 3")
        check(tab, topics, "map-narrow-dark")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(made, dark):
    with browser() as tab:
        for view in ("documents", "dropped", "thresholds", "pairs", "compare"):
            tab.open(made.address + "#" + view, NARROW, dark)
            tab.until("document.querySelector('.count, .big strong')")
            tab.until(f"location.hash != '#documents' || {READY}")
            check(tab, made, f"{view}-narrow{'-dark' if dark else ''}")
        tab.open(made.address, WIDE, dark)
        tab.until(READY)
        check(tab, made, f"wide{'-dark' if dark else ''}")


def test_the_keyboard_reaches_a_document(made):
    with browser() as tab:
        tab.open(made.address)
        tab.until(f"{READY} && document.querySelector('.rows tbody button')")
        for _ in range(60):
            tab.key("Tab")
            if tab.js("document.activeElement.closest?.('tbody') !== null"):
                break
        tab.key("Enter")
        tab.until("document.querySelector('.detail .graph')")
