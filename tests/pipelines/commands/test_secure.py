"""`party` and `secure`, as they are typed: what is wrong is said before anybody is waited for, what came of it behind."""

import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from corpusmill.pipelines.commands.secure import _files, _render, _take_part
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import SourceError
from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards

pytest.importorskip("cryptography", reason="certificates need cryptography")


def written(path, **values):
    path.write_text(yaml.safe_dump(values))
    return path


def settings(folder, **more):
    """A party whose certificates are nowhere: what is refused because of something else is refused before they are looked at."""
    fixed = {"name": "north", "addresses": {"hub": "127.0.0.1:1"}, "certificates": "certs", "state": "state"}
    return written(folder / "north.yaml", **(fixed | more))


def job_file(folder, **more):
    fixed = {"job": "d", "kind": "dedup", "parties": {"owners": ["north", "south"], "aggregator": "hub"}}
    return written(folder / "job.yaml", **(fixed | more))


def test_certificates_are_made_signed_and_never_written_over(tmp_path):
    certs, own = tmp_path / "certs", tmp_path / "own"
    done = invoke("party", "certificates", certs, "north", "hub", "--days", 3)
    assert done.exit_code == 0
    *files, advice = done.stdout.splitlines()
    assert {str(p) for p in certs.iterdir()} == set(files)
    assert "then remove authority.key.pem" in advice
    again = invoke("party", "certificates", certs, "east")
    assert (again.exit_code, "authority.key.pem: exists and is left as it is" in again.stderr) == (1, True)
    assert not (certs / "east.pem").exists()

    asked = invoke("party", "request", own, "east")
    assert asked.stdout == f"Send {own}/east.csr.pem to the party that signs. east.key.pem stays here.\n"
    signed = invoke("party", "sign", certs, own / "east.csr.pem")
    assert signed.stdout == f"{own}/east.pem is signed. Send it back with authority.pem.\n"
    # an authority that is not there yet is made for the first one that asks
    invoke("party", "request", own, "west")
    assert invoke("party", "sign", tmp_path / "new", own / "west.csr.pem").exit_code == 0
    assert (tmp_path / "new" / "authority.key.pem").exists()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["party"], 2, "give --config FILE, or `certificates`, `request` or `sign`"),
        (["party", "certificates", "x"], 2, "NAME"),
        (["party", "certificates", "x", "a", "--days", "0"], 2, "--days"),
        (["party", "certificates", "x", "Bad Name"], 1, "`Bad Name` cannot name a party"),
        (["party", "request", "x", "authority"], 1, "`authority` cannot name a party"),
        (["party", "sign", "x", "none.pem"], 1, "none.pem: cannot be read: No such file"),
        (["party", "--config", "none.yaml"], 78, "none.yaml: there is no such file; `corpusmill init --party none.yaml`"),
        (["secure", "count", "none.yaml", "--config", "x"], 78, "none.yaml: there is no such file; `corpusmill init --job"),
        (["secure", "dedup", "x"], 2, "--config"),
        (["secure", "count", "x", "--config", "y", "--apply", "z"], 2, "--apply"),
        (["secure", "spy", "x"], 2, "No such command"),
    ],
)  # fmt: skip
def test_wrong_usage(tmp_path, monkeypatch, args, code, said):
    monkeypatch.chdir(tmp_path)
    done = invoke(*args)
    assert (done.exit_code, list(tmp_path.iterdir())) == (code, [])
    assert said in done.stderr
    assert "Traceback" not in done.output


def test_a_file_that_is_not_right_says_every_field(tmp_path):
    bad = written(tmp_path / "bad.yaml", name="north", listen=3, address="x")
    done = invoke("party", "--config", bad)
    assert done.exit_code == 78
    for field in ("addresses", "certificates", "state", "address", "listen"):
        assert f"`{field}`" in done.stderr
    assert "^^^^^^^ did you mean `addresses`?" in done.stderr
    bad.write_text("name: [")
    done = invoke("party", "--config", bad)
    assert done.exit_code == 78
    assert "bad.yaml:1:8: not valid YAML" in done.stderr
    done = invoke("secure", "dedup", job_file(tmp_path, kind="count"), "--config", settings(tmp_path))
    assert (done.exit_code, "has the section `count` and no other" in done.stderr) == (78, True)


def test_a_party_without_jobs_and_a_verb_of_another_kind(tmp_path):
    config, job = settings(tmp_path), job_file(tmp_path)
    done = invoke("party", "--config", config)
    assert (done.exit_code, "north.yaml: names no `jobs`" in done.stderr) == (78, True)
    done = invoke("secure", "mix", job, "--config", config)
    assert (done.exit_code, "is a job of kind `dedup`: run `corpusmill secure dedup`" in done.stderr) == (78, True)


def test_the_recipe_of_the_settings_lies_beside_them(tmp_path, monkeypatch):
    """Wherever the command is started from: its step for the list is looked for before the job begins."""
    write_shards(tmp_path / "raw", rows(3), 1)
    write_recipe(tmp_path, ["exact"])
    config, job = settings(tmp_path, recipe="recipe.yaml"), job_file(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    done = invoke("secure", "dedup", job, "--config", config)
    assert done.exit_code == 78
    assert done.stderr.startswith(
        f"{tmp_path}/recipe.yaml: has no step that drops what others keep. Add `- kept-elsewhere"
    )


def test_the_files_of_an_owner(tmp_path):
    assert _files("") == []
    write_shards(tmp_path / "raw", rows(4), 2)
    for name in ("_part.parquet", "notes.txt", ".part.parquet"):
        (tmp_path / "raw" / name).touch()
    parts = [str(tmp_path / "raw" / f"part-00{i}.parquet") for i in (0, 1)]
    for data in ("raw", "raw/*.parquet", "raw/*", "**/part-00?.parquet"):
        assert _files(str(tmp_path / data)) == parts
    assert _files(parts[1]) == parts[1:]
    (tmp_path / "raw" / "_part.parquet").unlink()
    run(load(write_recipe(tmp_path, [])), workers=1)
    assert {f.split("/data/")[0] for f in _files(str(tmp_path / "out"))} == {str(tmp_path / "out")}
    for none in ("none", "none/*.parquet", "raw/*.arrow"):
        with pytest.raises(SourceError, match=r"is no dataset, and has no Parquet or Arrow file\. Check `data`"):
            _files(str(tmp_path / none))


def test_jobs_of_the_settings_run_once_and_tell_what_came_of_them(tmp_path):
    from tests.privacy.secure.parties import Parties

    counted = {"by": [{"column": "lang", "values": ["en", "zh"]}]}
    owners = ("north", "south")
    parties = Parties(
        tmp_path, {"job": "langs", "kind": "count", "count": counted}, owners, timeout=120, jobs=["job.yaml"]
    )
    for owner, langs in zip(owners, (["en", "en", "zh"], ["zh", "fr"]), strict=True):
        texts = [f"text {i}" for i in range(len(langs))]
        pq.write_table(pa.table({"id": texts, "text": texts, "lang": langs}), tmp_path / f"{owner}.parquet")
        file = tmp_path / f"{owner}.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "data": f"{owner}.parquet"}))
    job = str(tmp_path / "job.yaml")
    threads = [
        threading.Thread(target=_take_part, args=(job, str(tmp_path / f"{name}.yaml"), None)) for name in parties.names
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    # finished jobs are left as they are: nobody is asked for anything
    said = invoke("party", "--config", tmp_path / "north.yaml").stdout.splitlines()
    assert said[0] == "langs: count, north as owner"
    assert said[1] == "counted   5 over north, south"
    assert said[2].startswith("sent      ")
    assert said[3] == f"result    {tmp_path}/state-north/langs/langs.counts.parquet"
    table = pq.read_table(said[3].split()[1]).to_pylist()
    assert {r["lang"]: r["count"] for r in table} == {"en": 2, "zh": 2, "(other)": 1}
    (report,) = invoke_json("party", "--config", tmp_path / "south.yaml")
    assert (report["party"], report["total"]) == ("south", 5)
    assert invoke_json("secure", "count", job, "--config", tmp_path / "hub.yaml")["role"] == "aggregator"
    # parties that agreed on something else are refused by what they have finished
    text = yaml.safe_load((tmp_path / "job.yaml").read_text())
    text["count"]["by"][0]["values"] = ["en"]
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(text))
    done = invoke("secure", "count", job, "--config", tmp_path / "north.yaml")
    assert done.exit_code == 78
    assert "langs" in done.stderr


def test_an_average_is_a_run_that_the_other_verbs_take(tmp_path):
    pytest.importorskip("torch", reason="models need torch")
    from corpusmill.training.loop import train
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer
    from tests.privacy.secure.parties import OWNERS, Parties
    from tests.training.conftest import sentences, tiny, write_shards

    batch = pa.record_batch({"id": ["a", "b"], "text": sentences(2)})
    tokenizer = tmp_path / "tokenizer.json"
    train_tokenizer([batch], str(tokenizer), vocab_size=280)
    text = write_shards(tmp_path / "text", tokenizer, sentences(20))
    train(tiny(tmp_path / "base", text, tokenizer, steps=1, model__layers=1))
    own = {}
    for i, owner in enumerate(OWNERS):
        base = {"tune__base": str(tmp_path / "base"), "tune__method": "lora"}
        train(tiny(tmp_path / owner, text, tokenizer, steps=1 + i, **base))
        own[owner] = {"model": owner, "output": f"out-{owner}"}
    agreed = {"job": "round-1", "kind": "average", "average": {}, "parties": {"threshold": 3}}
    parties = Parties(tmp_path, agreed, timeout=120, own=own)
    job = tmp_path / "job.yaml"
    threads = [
        threading.Thread(target=_take_part, args=(str(job), str(tmp_path / f"{name}.yaml"), None, "average"))
        for name in parties.names
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    said = invoke("secure", "average", job, "--config", tmp_path / "south.yaml").stdout.splitlines()
    assert said[0] == "round-1: average, south as owner"
    assert said[1].startswith("averaged  ")
    assert said[1].endswith(" parameters of north, south, east")
    assert said[2] == "private   none; NOT north, south, east"
    assert said[4] == f"result    {tmp_path}/out-south/round-1.model"
    report = invoke_json("secure", "average", job, "--config", tmp_path / "hub.yaml")
    assert (report["role"], report["owners"], report["without_the_model"]) == ("aggregator", list(OWNERS), [])
    found = invoke_json("eval", tmp_path / "out-south" / "round-1.model", "--data", text)
    assert found["loss"] == invoke_json("eval", tmp_path / "out-north" / "round-1.model", "--data", text)["loss"]
    assert found["loss"] != invoke_json("eval", tmp_path / "south", "--data", text)["loss"]


def test_an_average_that_would_show_an_update_is_refused_before_anybody_is_waited_for(tmp_path):
    config = settings(tmp_path, addresses=dict.fromkeys(("south", "east", "hub"), "127.0.0.1:1"))
    two = job_file(tmp_path, kind="average", average={})
    done = invoke("secure", "average", two, "--config", config)
    assert (done.exit_code, "an average needs at least three owners in it" in done.stderr) == (78, True)
    owners = {"owners": ["north", "south", "east"], "aggregator": "hub", "threshold": 3}
    keyed = job_file(tmp_path, kind="average", average={"method": "encrypted"}, parties={**owners, "key_holder": "hub"})
    done = invoke("secure", "average", keyed, "--config", config)
    assert (done.exit_code, "the key holder must not be the aggregator" in done.stderr) == (78, True)


SENT = {"messages": {"tags": 1_200}, "bytes": 34_567}


@pytest.mark.parametrize(
    ("report", "lines"),
    [
        (
            {"kind": "dedup", "role": "owner", "dropped": 1_234, "documents": 5_678, "result": "r.parquet"},
            [
                "to drop   1,234 of 5,678 documents",
                "sent      1,200 messages, 34,567 bytes",
                "result    r.parquet",
                "Next: the same command with --apply RECIPE. Its step `kept-elsewhere` drops them.",
            ],
        ),
        (
            {
                "kind": "dedup",
                "role": "owner",
                "dropped": 2,
                "documents": 3,
                "result": "r",
                "applied": {"snapshot": 4, "dropped": {"kept-elsewhere": {"kept-by-north": 2}}},
            },
            ["applied   snapshot 4 without 2 kept-by-north"],
        ),
        (
            {"kind": "dedup", "role": "owner", "result": "r", "applied": {"snapshot": 4, "dropped": {}}},
            ["applied   snapshot 4 without any of them"],
        ),
        ({"kind": "dedup", "role": "aggregator", "dropped": {"north": 0, "south": 1_000}}, ["to drop   north 0, south 1,000"]),
        (
            {"kind": "finetune", "role": "owner", "epsilon": 1.23456, "step": 1_000, "checkpoint": "runs/1"},
            ["trained   1,000 steps, epsilon 1.235: runs/1"],
        ),
        (
            {"kind": "average", "role": "owner", "owners": ["north", "south", "east"], "parameters": 1_234, "result": "r",
             "private": {"north": {"epsilon": 1.5, "delta": 1e-5}, "east": {"epsilon": 2.0, "delta": 1e-6}}},
            [
                "averaged  1,234 parameters of north, south, east",
                "private   north epsilon 1.500 at delta 1e-05, east epsilon 2.000 at delta 1e-06; NOT south",
                "result    r",
            ],
        ),
        (
            {"kind": "average", "role": "aggregator", "owners": ["north"], "parameters": 1, "without_the_model": ["east"]},
            ["averaged  1 parameters of north", "absent    east: did not get the average"],
        ),
        ({"kind": "score", "role": "owner", "encryption": {"scheme": "ckks", "bits": 128}}, ["encrypted scheme ckks, bits 128"]),
    ],
)  # fmt: skip
def test_what_a_report_says(report, lines):
    said = _render({"job": "j", "party": "north", "sent": SENT, **report}).splitlines()
    assert said[0] == f"j: {report['kind']}, north as {report['role']}"
    for line in lines:
        assert line in said
