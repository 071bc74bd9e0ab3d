"""The map of clusters as the server answers it."""

import json

from tests.pipelines.browse.serving import serving
from tests.pipelines.coverage.corpus import make, rows


def test_clusters_and_their_documents(tmp_path):
    made = make(tmp_path, rows({0: 150, 1: 90, 2: 60}), files=3)
    with serving(made.path) as client:
        found = client.ask("clusters")
        assert (found["sampled"], found["documents"]) == (300, 300)
        clusters = found["clusters"]
        assert sum(c["documents"] for c in clusters) == 300
        area = sum(c["width"] * c["height"] for c in clusters)
        assert abs(area - found["size"][0] * found["size"][1]) < 1
        of = {
            c["number"]: {m["id"].split("-")[1] for m in client.ask("members", cluster=c["number"])} for c in clusters
        }
        assert all(len(topics) == 1 for topics in of.values())
        big = max(clusters, key=lambda c: c["documents"])
        pages = [client.ask("members", cluster=big["number"], offset=at) for at in range(0, big["documents"], 50)]
        every = [m for page in pages for m in page]
        assert len({m["_id"] for m in every}) == big["documents"]
        assert [m["cosine"] for m in every] == sorted((m["cosine"] for m in every), reverse=True)
        status, _, body = client.raw("api/members?cluster=999")
        assert status == 400
        assert "no cluster 999" in json.loads(body)["error"]


def test_a_snapshot_without_words_is_told(tmp_path):
    made = make(tmp_path, [{"id": str(i), "text": "...", "lang": "en"} for i in range(9)])
    with serving(made.path) as client:
        status, _, body = client.raw("api/clusters")
        assert status == 400
        assert "nothing to map" in json.loads(body)["error"]
