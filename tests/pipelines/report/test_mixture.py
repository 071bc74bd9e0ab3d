"""The table of a mixture in `corpusmill show`."""

from corpusmill.pipelines.report.mixture import render

ROW = {
    "domain": "web",
    "unit": "bytes",
    "documents": 12_345,
    "size": 1_500_000,
    "epochs": 2.5,
    "asked_share": 0.5,
    "planned_share": 0.5,
    "realised_share": 0.4999,
    "realised_documents": 30_000,
    "realised_size": 3_750_000,
}


def test_golden_table():
    rows = [ROW, ROW | {"domain": "书", "unit": "bytes", "epochs": 1 / 3, "documents": 0, "size": 0}]
    assert render(rows).splitlines() == [
        "mixture by bytes  documents    size  epochs   asked  planned  written  documents    size",
        "web                  12,345  1.5 MB     2.5  50.0 %   50.0 %   50.0 %     30,000  3.8 MB",
        "书                        0     0 B   0.333  50.0 %   50.0 %   50.0 %     30,000  3.8 MB",
    ]


def test_sizes_are_in_the_unit_of_the_mixture():
    said = render([ROW | {"unit": "tokens"}])
    assert said.startswith("mixture by tokens")
    assert "1,500,000" in said


def test_a_domain_that_is_kept_below_its_share_is_pointed_out():
    said = render([ROW | {"planned_share": 0.4}, ROW])
    assert said.endswith("Some domains are planned below the asked share, because `max_epochs` limits their repeats.")
    assert "max_epochs" not in render([ROW | {"planned_share": 0.49999}])
