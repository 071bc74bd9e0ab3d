"""What `corpusmill plan --price` prints."""

from typing import Any

from corpusmill.pipelines.report.estimate import render

FOUND: dict[str, Any] = {
    "stages": [
        {"name": "pass 1 of 2: clean", "cpu_seconds": 7_260.0, "key_bytes": 3_000_000, "serial": False},
        {"name": "minhash: gather", "cpu_seconds": 4.2, "key_bytes": 0, "serial": True},
    ],
    "measured_bytes": 60_000_000,
    "bytes": 10**12,
    "cpu_hours": 1_234.567,
    "mb_per_cpu_second": 40.04,
    "shuffle_bytes": 3_000_000,
    "seconds": 3_700.0,
    "workers": 200,
    "memory": 522_000_000,
    "formula": "libraries + batches",
    "cost": None,
}


def test_golden() -> None:
    assert render(FOUND) == (
        "stage                     CPU    keys\n"
        "pass 1 of 2: clean  2 h 1 min  3.0 MB\n"
        "minhash: gather         4.2 s     0 B  one task: more workers do not help\n"
        "\n"
        "corpus     1.0 TB, scaled from 60.0 MB that ran\n"
        "CPU        1,234.57 hours (40.0 MB of source per CPU second)\n"
        "shuffled   3.0 MB of keys; documents stay where they are\n"
        "time       1 h 1 min on 200 workers that are always busy\n"
        "memory     522 MB a worker: libraries + batches"
    )


def test_a_price_and_a_small_sample_are_said() -> None:
    lines = render(FOUND | {"cost": 49.3827, "measured_bytes": 49_999_999}).splitlines()
    assert lines[-2].startswith("caution    the sample is small")
    assert lines[-1] == "cost       49.38 at the given price of a CPU hour, without storage"
    assert "cost       0.00 at the given price" in render(FOUND | {"cost": 0.0})
