import os

import numpy as np
import pytest

from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.web import block_lists
from corpusmill.transforms.web.address import addresses
from corpusmill.transforms.web.block_lists import BlockList, block_list


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def found(blocks: BlockList, *urls: str | None) -> list[str | None]:
    import pyarrow as pa

    seen = addresses(pa.array(urls, pa.string()))
    return [blocks.categories[k] if k >= 0 else None for k in blocks.find(seen.normal, seen.host).tolist()]


def test_a_domain_stands_for_all_below_it_and_an_address_for_all_that_begin_so(tmp_path):
    (tmp_path / "mine.txt").write_text(
        "# a comment\nbad.org\nhttps://www.part.com/shop/\nother.net/a?x=1\n\n*.star.org\n例子.测试  # mine\n",
        encoding="utf-8",
    )
    blocks = block_list((str(tmp_path / "mine.txt"),))
    assert blocks.categories == ("mine",)
    urls = [
        "http://bad.org/x",
        "https://www.a.bad.org",
        "https://notbad.org",
        "https://bad.org.uk",
        None,
        "https://x.star.org",
    ]
    assert found(blocks, *urls) == ["mine", "mine", None, None, None, "mine"]
    urls = ["https://part.com/shop", "https://part.com/shop/a/b?c", "https://part.com/shopping", "https://part.com"]
    assert found(blocks, *urls) == ["mine", "mine", None, None]
    assert found(blocks, "https://other.net/a?x=1", "https://other.net/a", "https://例子.测试/x") == [
        "mine",
        None,
        "mine",
    ]


def test_folders_of_categories_hosts_files_and_filters(tmp_path):
    for name, text in {
        "ut1/adult/domains": "adult.com\nboth.com\n10.1.2.3\n",
        "ut1/adult/urls": "host.com/~bad\n",
        "ut1/adult/expressions": "(sex|xxx\n",
        "ut1/games/domains": "play.com\nboth.com\n",
        "ut1/README": "Not a list at all.\n",
        "lists/ads.hosts": "127.0.0.1 localhost\n0.0.0.0 ads.com tracker.com # two\n::1 six.com\n",
        "lists/abp.txt": "[Adblock Plus 2.0]\n! Title\n||filter.com^$third-party\nexample.com##.ad\n@@||good.com^\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    blocks = block_list((str(tmp_path / "ut1"), str(tmp_path / "lists")))
    assert blocks.categories == ("abp", "ads", "adult", "games")
    urls = [
        "https://adult.com",
        "http://10.1.2.3/x",
        "https://host.com/~bad/1",
        "https://host.com",
        "https://play.com",
        "https://both.com",
    ]
    assert found(blocks, *urls) == ["adult", "adult", "adult", None, "games", "adult"]
    urls = [
        "https://ads.com",
        "https://tracker.com",
        "https://six.com",
        "https://filter.com",
        "https://example.com",
        "https://good.com",
    ]
    assert found(blocks, *urls) == ["ads", "ads", "ads", "abp", None, None]
    assert found(block_list((str(tmp_path / "ut1"),), ("games",)), "https://adult.com", "https://both.com") == [
        None,
        "games",
    ]
    with pytest.raises(RecipeError, match="no list of `sports` among adult, games"):
        block_list((str(tmp_path / "ut1"),), ("sports",))


def test_bad_lists_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("good.org\nthis is prose\n")
    with pytest.raises(BadFileError, match=r"a\.txt: line 2 is no domain or address: 'this is prose'"):
        block_list((str(tmp_path / "a.txt"),))
    with pytest.raises(RecipeError, match="not there"):
        block_list((str(tmp_path / "b.txt"),))
    (tmp_path / "empty.txt").write_text("")
    assert found(block_list((str(tmp_path / "empty.txt"),)), "https://a.org") == [None]


def test_lines_count_over_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(block_lists, "_CHUNK", 64)
    (tmp_path / "a.txt").write_text("".join(f"site{i}.org\r\n" for i in range(100)) + "not one\n")
    with pytest.raises(BadFileError, match="line 101 "):
        block_list((str(tmp_path / "a.txt"),))
    (tmp_path / "a.txt").write_text("".join(f"site{i}.org\r\n" for i in range(100)) + "last.org")
    blocks = block_list((str(tmp_path / "a.txt"),))
    assert found(blocks, "https://site99.org", "https://last.org", "https://site100.org") == ["a", "a", None]


def test_the_compiled_form_is_mapped_and_made_once(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("b.org\na.org\n")
    first = block_list((str(file),))
    assert isinstance(first.keys, np.memmap)
    with monkeypatch.context() as patch:
        patch.setattr(block_lists, "_compiled", None)  # it is not compiled again
        assert block_list((str(file),)).digest == first.digest
    (tmp_path / "c.txt").write_text("# the same entries\na.org\nwww.b.org\n")
    os.replace(tmp_path / "c.txt", file)
    assert block_list((str(file),)).digest == first.digest
    compiled = max((tmp_path / "cache/corpusmill/lists").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    for torn in (b"", compiled.read_bytes()[:-3]):
        compiled.write_bytes(torn)
        assert found(block_list((str(file),)), "https://a.org") == ["a"]
