"""What the server answers: rows, counts, thresholds, documents, pairs, snapshots, exports; and whom it refuses."""

import io
import json
import threading

import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.pipelines.dataset.results import Store
from tests.command import invoke, invoke_json
from tests.corpora import write_recipe, write_shards
from tests.pipelines.browse.serving import TOKEN, serving
from tests.pipelines.report.hostile import CONTROLS, EVIL, hostile, packed


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return hostile(tmp_path_factory.mktemp("browse") / "hostile")


@pytest.fixture(scope="module")
def client(out):
    with serving(out) as made:
        yield made


def test_rows_are_searched_filtered_and_sorted(client, out):
    every = corpusmill.open(out).to_pandas()
    assert client.ask("count") == {"rows": len(every), "bytes": sum(len(t.encode()) for t in every["text"])}
    assert {r["id"] for r in client.ask("rows", search="שלום")} == {d for d in every["id"] if d == "hebrew"}
    assert len(client.ask("rows", search="THE WORDS", mode="any case")) == sum(
        "the words" in t.lower() for t in every["text"]
    )
    assert client.ask("count", search="word1[0-9] that", mode="regex")["rows"] == 1
    mit = client.ask("rows", filters=[["license", "=", "CC0"]])
    assert {r["license"] for r in mit} == {"CC0"}
    assert client.ask("rows", filters=[["gopher-quality.words", "≥", "no number"]]) == []
    words = [r["gopher-quality.words"] for r in client.ask("rows", sort="gopher-quality.words", desc=1)]
    assert words == sorted(every["gopher-quality.words"], reverse=True)
    assert client.ask("values", column="license")[0]["value"] in ("CC0", "MIT<b>")


def test_what_people_type_is_never_sql_or_a_crash(client):
    for asked in (
        {"sort": "id; DROP TABLE x"},
        {"filters": [['id" OR 1=1 --', "=", "x"]]},
        {"filters": [["id", "OR 1=1", "x"]]},
        {"filters": "[1]"},
        {"mode": "sql", "search": "x"},
        {"table": "nothing"},
        {"search": "(", "mode": "regex"},
        {"n": 99},
        {"d": "x"},
    ):
        text = "&".join(f"{k}={json.dumps(v) if isinstance(v, list) else v}" for k, v in asked.items()).replace(
            " ", "%20"
        )
        status, _, body = client.raw(f"api/rows?{text.replace(chr(34), '%22')}")
        assert status == 400, (asked, body)
        assert json.loads(body)["error"]
    assert client.ask("count", search="' OR 1=1 --")["rows"] == 0


def test_thresholds_say_what_plan_says(client, out):
    rows = [r for r in invoke_json("plan", out.parent / "recipe.yaml", "--what-if") if r["rule"] == "min_words"]
    for row in rows:
        stays = client.ask("stays", step="gopher-quality", rule="min_words", limit=row["limit"])
        assert (stays["documents"], stays["bytes"]) == (row["documents"], row["bytes"]), row
    now = client.ask("stays", step="gopher-quality", rule="min_words", limit=10)
    assert (now["leave"], now["come"]) == (0, 0)
    assert now["documents"] == now["documents_now"]
    moved = client.ask("changing", step="gopher-quality", rule="min_stop_words", limit=0)
    assert [m["_id"] for m in moved["come"]] == ["hebrew"]
    assert moved["leave"] == []
    (text,) = client.ask("texts", ids=["hebrew"])
    assert text["text"].startswith("שלום")
    bins = client.ask("histogram", step="gopher-quality", rule="min_words")
    assert sum(bins["bins"]) == now["entered"]
    assert bins["now"] == {name: now[name] for name in ("entered", "documents_now", "bytes_now")}


@pytest.mark.parametrize("rule", ["min_words", "max_words", "min_stop_words", "max_word_length"])
def test_the_places_of_the_slider_say_what_the_exact_limit_says(client, rule):
    bins = client.ask("histogram", step="gopher-quality", rule=rule)
    places = {0, len(bins["limits"]) // 3, len(bins["limits"]) - 1}
    for place in sorted(places):
        exact = client.ask("stays", step="gopher-quality", rule=rule, limit=bins["limits"][place])
        leave, leave_bytes, come, come_bytes = bins["fine"][place]
        assert (leave, come) == (exact["leave"], exact["come"]), (rule, place)
        assert exact["bytes"] == exact["bytes_now"] - leave_bytes + come_bytes
    assert "min_words: 2\n" in client.ask("limit", step="gopher-quality", rule="min_words", limit=2, whole=1)["yaml"]


def test_a_document_has_its_text_history_and_lineage(client, out):
    why = invoke_json("why", out, "twin b")
    found = client.ask("document", id="twin b")
    assert found["outcome"] == why["outcome"] == "dropped"
    assert "the survivor is twin a" in found["sentences"][0]
    assert found["text"].endswith("and one more")
    labels = {n["label"]: n["kind"] for n in found["graph"]["nodes"]}
    assert labels == {"twin b": "dropped", "web": "source", "twin a": "survivor"}
    kept = client.ask("document", id="twin a")
    assert {"twin b", "snapshot 2"} <= {n["label"] for n in kept["graph"]["nodes"]}
    hostile_id = EVIL + CONTROLS
    assert client.ask("rows", table="dropped", search="script")[0]["_id"] == hostile_id
    found = client.ask("document", id=hostile_id)
    assert found["outcome"] == "dropped"
    assert "�" in found["text"]  # controls are replaced
    assert not set(CONTROLS) & set("\x1b\u202e") & set(found["text"] + found["id"])
    assert client.ask("document", id="nobody")["outcome"] == "unknown"
    assert "@example.org" not in json.dumps(
        [client.ask("document", id=f"https://site{i % 3}.example/{i}") for i in range(3)]
    )


def test_texts_of_dropped_documents_are_searched_in_the_sources(client):
    found = client.ask("dropped_texts", table="dropped", search="and one more", mode="text")
    assert [(r["id"], r["step"], r["source"]) for r in found["rows"]] == [("twin b", "minhash", "web")]
    assert found["more"] is False
    assert found["rows"][0]["text"].startswith("… ")
    assert found["rows"][0]["text"].endswith("and one more")
    filters = [["step", "=", "exact"]]
    assert client.ask("dropped_texts", table="dropped", search="and one more", filters=filters)["rows"] == []
    (hebrew,) = client.ask("dropped_texts", table="dropped", search="ש.ום עו", mode="regex")["rows"]
    assert hebrew["id"] == "hebrew"
    assert client.ask("dropped_texts", table="dropped", search="@example", mode="any case")["rows"] == []
    assert client.raw("api/dropped_texts?table=dropped&search=(&mode=regex")[0] == 400


def test_pairs_and_snapshots_are_compared(client):
    pair = client.ask("rows", table="pairs")[0]
    lines = client.ask("pair", a=pair["_id_a"], b=pair["_id_b"])["lines"]
    assert any(bit == [" and one more", True] or (bit[1] and "more" in bit[0]) for _, right in lines for bit in right)
    diff = client.ask("diff", a=1, b=2)
    assert diff["counts"] == [["web", "added", 1]]
    assert diff["rows"][0]["id"] == "new"
    assert client.ask("changed", a=1, b=2, id="new")["lines"][0][1][0][1]
    assert client.ask("diff", a=1, b=2, change="removed")["rows"] == []


def test_what_is_seen_is_exported(client, out, tmp_path):
    status, headers, body = client.raw("export/parquet?search=Chinese&filters=[]".replace("Chinese", "words"))
    assert status == 200
    assert pq.read_table(io.BytesIO(body)).num_rows == client.ask("count", search="words")["rows"]
    assert "attachment" in headers["content-disposition"]
    _, _, listed = client.raw("export/forget?search=word89")
    (tmp_path / "ids.jsonl").write_bytes(listed)
    assert {json.loads(x)["id"] for x in listed.splitlines()} == {"twin a"}
    dry = invoke("forget", out, "--ids", tmp_path / "ids.jsonl", "--dry-run")
    assert dry.exit_code == 0, dry.output
    asked = [["license", "=", "CC0"], ["gopher-quality.words", "≥", "20"], ["id", "contains", "x"]]
    change = client.ask("recipe", filters=asked)["yaml"]
    recipe = write_recipe(tmp_path, __import__("yaml").safe_load(change))
    assert "where" in recipe.read_text()
    assert "# no step of corpusmill says this; write a function of your own: id contains x" in change
    assert client.raw("export/forget?table=quarantine")[0] == 400


def test_strangers_are_refused(client):
    policy = client.raw("")[1]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    base = client.address.removesuffix(f"{TOKEN}/")
    client_without = type(client)(base)
    assert client_without.raw("")[0] == 403
    assert client_without.raw("wrong/api/datasets")[0] == 403
    assert client.raw("api/datasets", Host="evil.example")[0] == 421
    assert client.raw("api/datasets", Origin="http://evil.example")[0] == 403
    assert client.raw("api/datasets", Sec_Fetch_Site="cross-site")[0] == 403
    assert client.raw("api/datasets", method="POST")[0] == 405
    assert client.raw("../../../etc/passwd")[0] in (403, 404)
    assert client.raw("browse.css")[0] == 200
    assert client.raw("app.py")[0] == 404


def test_rows_of_tokens_are_browsed(tmp_path):
    made = packed(tmp_path)
    with serving(made) as client:
        (row, *_) = client.ask("rows", table="rows")
        assert row["input_ids"] == 256
        found = client.ask("document", id=row["_id"])
        assert found["outcome"] == "row"
        piece = found["pieces"][0]
        assert "The words" in json.dumps(found["pieces"])
        assert client.ask("document", id=piece["id"])["outcome"] == "packed" or "�" in piece["id"]


def test_documents_of_private_sources_are_in_no_table(out):
    source = {"name": "mail", "path": "raw/*.jsonl", "columns": {"id": "id"}, "private": True, "max_bad_fraction": 0.5}
    recipe = write_recipe(out.parent, ["exact"], sources=[source], output={"path": "private"})
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    with serving(out.parent / "private") as client:
        assert client.ask("open")["private"]
        assert client.ask("rows") == []
        assert client.ask("document", id="hebrew")["text"] == ""


def test_stores_are_read_through_the_storage_of_corpusmill(out):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(out), "/browsed", recursive=True)
    with serving("memory://browsed") as client:
        assert client.ask("count")["rows"] == 16
        assert client.ask("rows", search="word89")[0]["id"] == "twin a"


WAITING = """
import pathlib, time

def wait(text: str) -> str:
    while not pathlib.Path(GATE).exists():
        time.sleep(0.01)
    return text + "!"
"""


def test_a_job_that_runs_is_followed_and_a_killed_one_is_not(tmp_path):
    write_shards(tmp_path / "raw", [{"id": str(i), "text": f"text {i}"} for i in range(40)], 2)
    recipe = write_recipe(tmp_path, ["clean"])
    corpusmill.run(recipe, workers=1)
    gate = tmp_path / "gate"
    (tmp_path / "waits.py").write_text(WAITING.replace("GATE", repr(str(gate))))
    recipe = write_recipe(tmp_path, ["clean", "waits:wait"])
    runner = threading.Thread(target=corpusmill.run, args=(recipe,), kwargs={"workers": 2})
    with serving(tmp_path / "out") as client:
        assert client.ask("progress") == {"running": False, "newest": 1}
        runner.start()
        while not (seen := client.ask("progress"))["running"]:
            assert runner.is_alive()
        assert (seen["done"], seen["total"], seen["newest"], seen["stage"][:4]) == (0, 1, 1, "pass")
        store = Store(str(tmp_path / "out"))
        note = store.announced()
        for request in store.load_task_list(note["plan"])["requests"]:
            store.note_part(request, 10, 100)  # as tasks do that take long
        assert client.ask("progress")["documents"] == 10
        gate.touch()
        runner.join()
        assert client.ask("progress") == {"running": False, "newest": 2}
        store.announce(note)  # what a killed run leaves
        assert client.ask("progress") == {"running": False, "newest": 2}
