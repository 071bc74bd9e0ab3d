"""Four parties as four hosts: each in a network namespace of its own, joined by a bridge; skipped where that is not allowed."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.privacy.secure.parties import CODE, OWNERS, ROOT, Parties

pytest.importorskip("cryptography", reason="secure sums need cryptography")
NAMES = (*OWNERS, "hub")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """Process ids by name, in whose namespaces a party has the address 10.77.0.N and nothing else."""
    if not (shutil.which("ip") and shutil.which("nsenter") and shutil.which("unshare")):
        pytest.skip("no `ip`, `nsenter` and `unshare` here: network namespaces cannot be made")
    tag = f"{os.getpid() % 100_000:05d}"
    switch, made, sleeping = f"cms{tag}", [], {}
    try:
        try:
            ip("link", "add", switch, "type", "bridge")
            made.append(switch)
            ip("link", "set", switch, "up")
            for i, name in enumerate(NAMES):
                sleeping[name] = subprocess.Popen(["unshare", "-n", "sleep", "600"])
                pid = str(sleeping[name].pid)
                here, there = f"cm{tag}{i}", f"cn{tag}{i}"
                # `unshare` runs the program in the new namespace under its own process id
                limit = 200
                while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net") and limit:
                    limit -= 1
                    subprocess.run(["sleep", "0.02"], check=True)
                ip("link", "add", here, "type", "veth", "peer", "name", there)
                made.append(here)
                ip("link", "set", there, "netns", pid)
                ip("link", "set", here, "master", switch)
                ip("link", "set", here, "up")
                inside = ["nsenter", "-t", pid, "-n", "ip"]
                for words in (
                    ["addr", "add", f"10.77.0.{i + 1}/24", "dev", there],
                    ["link", "set", there, "up"],
                    ["link", "set", "lo", "up"],
                ):
                    subprocess.run([*inside, *words], check=True, capture_output=True, text=True)
        except (subprocess.CalledProcessError, OSError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip()
            pytest.skip(f"network namespaces are not allowed here: {said}")
        yield {name: process.pid for name, process in sleeping.items()}
    finally:
        for process in sleeping.values():
            process.kill()
            process.wait()
        for name in made:
            subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


def test_four_hosts_count_together(tmp_path, hosts):
    job = {"job": "c", "kind": "count", "count": {"by": [{"column": "lang", "values": ["en", "zh"]}]}}
    parties = Parties(tmp_path / "p", job, timeout=200)
    for i, name in enumerate(NAMES):
        path = parties.folder / f"{name}.yaml"
        own = yaml.safe_load(path.read_text())
        own["listen"] = f"10.77.0.{i + 1}:7001"
        own["addresses"] = {o: f"10.77.0.{j + 1}:7001" for j, o in enumerate(NAMES) if o != name}
        path.write_text(yaml.safe_dump(own))
    running = {}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for i, name in enumerate(NAMES):
        pq.write_table(pa.table({"lang": ["en"] * (i + 1) + ["zh"]}), tmp_path / f"{name}.parquet")
        files = [str(tmp_path / f"{name}.parquet")] if name in OWNERS else []
        argv = [
            sys.executable,
            "-c",
            CODE,
            str(parties.folder / "job.yaml"),
            str(parties.folder / f"{name}.yaml"),
            *files,
        ]
        running[name] = subprocess.Popen(
            ["nsenter", "-t", str(hosts[name]), "-n", *argv],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    for name, process in running.items():
        out, err = process.communicate(timeout=280)
        assert out.strip(), f"{name}: {err}"
        report = json.loads(out.strip().splitlines()[-1])
        counts = pq.read_table(report["result"]).to_pylist()
        assert counts == [{"lang": "en", "count": 6}, {"lang": "zh", "count": 3}]
