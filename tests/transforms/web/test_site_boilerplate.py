import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.web.site_boilerplate import SiteBoilerplate
from tests.command import invoke

MENU = "Home | News | Sport | Weather"
NOTICE = "We use cookies to give you the best experience."


def pages(host: str, n: int, *blocks: str) -> list[dict]:
    return [
        {
            "id": f"https://www.{host}/{i}",
            "text": "\n".join([*blocks, f"Story number {i} of {host} is told here.", "}"]),
        }
        for i in range(n)
    ]


def texts(rows: list[dict], **fields) -> dict[str, str]:
    out = SiteBoilerplate(**fields)(pa.RecordBatch.from_pylist(rows))
    return dict(zip(out.column("id").to_pylist(), out.column("text").to_pylist(), strict=True))


def test_blocks_of_many_pages_of_a_host_are_cut_and_only_there():
    rows = pages("a.org", 6, MENU, NOTICE) + pages("b.org", 1, MENU) + pages("c.org", 4, NOTICE)
    found = texts(rows)
    assert found["https://www.a.org/3"] == "Story number 3 of a.org is told here.\n}"
    assert found["https://www.b.org/0"].startswith(MENU)
    assert found["https://www.c.org/0"].startswith(NOTICE)  # four pages are not enough
    assert not texts(rows, min_pages=4)["https://www.c.org/0"].startswith(NOTICE)
    assert texts(rows, min_chars=1)["https://www.a.org/3"] == "Story number 3 of a.org is told here.\n"


def test_a_share_of_the_host_is_asked_for():
    rows = pages("a.org", 94) + [r | {"id": r["id"] + "m", "text": MENU + "\n" + r["text"]} for r in pages("a.org", 6)]
    assert MENU not in texts(rows)["https://www.a.org/3m"]
    assert MENU in texts(rows, min_share=0.07)["https://www.a.org/3m"]


def test_copies_of_a_page_make_no_boilerplate():
    article = "The whole article is one line that is long enough."
    rows = [{"id": f"https://a.org/{i}", "text": article} for i in range(9)]
    assert set(texts(rows).values()) == {article}


def test_a_block_twice_on_a_page_counts_once_and_goes_twice():
    rows = pages("a.org", 3, MENU, MENU)
    assert MENU in texts(rows, min_pages=4)["https://www.a.org/0"]
    assert MENU not in texts(rows, min_pages=3)["https://www.a.org/0"]


def test_what_has_no_address_stays():
    rows = [{"id": str(i), "text": f"{MENU}\nStory {i} is told here."} for i in range(9)]
    assert all(MENU in t for t in texts(rows).values())
    with pytest.raises(RecipeError, match=r"site-boilerplate\.column: documents have no column `link`"):
        texts(rows, column="link")


def test_scripts_without_spaces():
    menu = "首页 新闻 体育 天气 联系我们 关于我们"
    assert menu not in texts(pages("a.cn", 6, menu))["https://www.a.cn/1"]


def recipe(folder, name: str) -> dict:
    source = {"name": "t", "path": "raw/*.parquet", "columns": {"id": "id"}}
    return {
        "name": "t",
        "sources": [source],
        "steps": ["site-boilerplate"],
        "output": {"path": str(folder / name), "shard_bytes": 4096},
    }


def test_shards_and_workers_do_not_matter_and_a_page_that_is_all_menu_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = pages("a.org", 40, MENU, NOTICE) + pages("b.org", 30, MENU) + [{"id": "https://a.org/empty", "text": MENU}]
    random.Random(1).shuffle(rows)
    answers = []
    for shards, workers in ((1, 1), (5, 2)):
        for old in (tmp_path / "raw").glob("*") if (tmp_path / "raw").exists() else ():
            old.unlink()
        (tmp_path / "raw").mkdir(exist_ok=True)
        for shard in range(shards):
            pq.write_table(pa.Table.from_pylist(rows[shard::shards]), tmp_path / "raw" / f"{shard}.parquet")
        corpus = corpusmill.run(recipe(tmp_path, f"out{shards}"), workers=workers).dataset
        answers.append(sorted(map(tuple, corpus.to_pandas()[["id", "text"]].values.tolist())))
        assert corpus.table("dropped").to_pylist()[0]["reason"] == "only-boilerplate"
        details = corpus.manifest["funnel"]["steps"][0]["details"]
        assert (details["cut_documents"], details["cut_blocks"]) == (71, 111)
    assert answers[0] == answers[1]
    assert all(MENU not in text for _, text in answers[0])


def test_why_and_the_funnel_name_what_was_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.Table.from_pylist(pages("a.org", 9, MENU, NOTICE)), tmp_path / "raw" / "a.parquet")
    corpusmill.run(recipe(tmp_path, "out"))
    answer = invoke("why", "out", "https://www.a.org/3").output
    assert "site-boilerplate cut 2 blocks out of it" in answer
    assert f"| {MENU}" in answer
    assert "18 blocks cut out of 9 documents" in invoke("show", "out").output
    invoke("report", "out")
    assert "18 blocks cut out of 9 documents" in next(tmp_path.glob("**/*.html")).read_text()
