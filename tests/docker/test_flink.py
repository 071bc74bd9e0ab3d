"""The manifests for Flink on Kubernetes: valid by Kubernetes' own schema, and of one piece."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from apache_beam.options.pipeline_options import FlinkRunnerOptions

ROOT = Path(__file__).resolve().parents[2]
FILES = ("flink.yaml", "flink-run.yaml")
OBJECTS = [o for name in FILES for o in yaml.safe_load_all((ROOT / "docker" / name).read_text())]
PODS = [o["spec"]["template"] for o in OBJECTS if o["kind"] in ("Deployment", "Job")]


@pytest.mark.parametrize("made", OBJECTS, ids=lambda o: f"{o['kind']} {o['metadata'].get('name', '')}")
def test_each_object_is_valid(made):
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)


def test_what_is_not_valid_is_found():
    wrong = yaml.safe_load((ROOT / "docker/flink-run.yaml").read_text())
    wrong["spec"]["backofLimit"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_services_find_pods_that_listen():
    for service in (o for o in OBJECTS if o["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        (pod,) = [p for p in PODS if wanted <= p.get("metadata", {}).get("labels", {}).items()]
        open_ = {p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports", [])}
        assert {p["port"] for p in service["spec"]["ports"]} <= open_
    for deployment in (o for o in OBJECTS if o["kind"] == "Deployment"):
        assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_every_mount_is_a_volume_and_all_see_the_same_files():
    claims = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "PersistentVolumeClaim"}
    maps = {o["metadata"]["name"]: o["data"] for o in OBJECTS if o["kind"] == "ConfigMap"}
    for pod in PODS:
        volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
        assert volumes["data"]["persistentVolumeClaim"]["claimName"] in claims
        for container in pod["spec"]["containers"]:
            mounts = {m["name"]: m for m in container["volumeMounts"]}
            assert mounts.keys() <= volumes.keys()
            assert mounts["data"]["mountPath"] == "/data"
            if "config" in mounts:
                assert mounts["config"]["subPath"] in maps[volumes["config"]["configMap"]["name"]]


def test_names_that_are_called_are_services():
    services = {
        o["metadata"]["name"]: {p["port"] for p in o["spec"]["ports"]} for o in OBJECTS if o["kind"] == "Service"
    }
    words = [w for pod in PODS for c in pod["spec"]["containers"] for w in c.get("args", [])]
    called = [m for w in words if (m := re.search(r"=([a-z][a-z-]*):(\d+)$", w)) and m[1] != "localhost"]
    assert len(called) == 3
    for name in called:
        assert int(name[2]) in services[name[1]]
    flink = yaml.safe_load(next(o for o in OBJECTS if o["kind"] == "ConfigMap")["data"]["config.yaml"])
    assert flink["jobmanager"]["rpc"]["address"] in services
    assert flink["rest"]["address"] in services


def test_versions_are_those_of_the_lock_and_of_each_other():
    beam = re.search(r"^apache-beam==(\S+)", (ROOT / "constraints.txt").read_text(), re.M)[1]
    images = {c["image"] for pod in PODS for c in pod["spec"]["containers"]}
    (server,) = [i for i in images if "job_server" in i]
    (flink,) = [i for i in images if i.startswith("flink:")]
    version = flink.removeprefix("flink:").split("-")[0]
    assert server == f"apache/beam_flink{version}_job_server:{beam}"
    assert version in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
    assert {"corpusmill", "corpusmill-beam"} <= images
